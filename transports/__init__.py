"""What carries a session: WebSocket, WebRTC, SIP, microphone, HTTP."""
