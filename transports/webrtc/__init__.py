"""WebRTC: session descriptions, ICE, DTLS, the data channel, and audio that goes by no thread and no task a packet."""
