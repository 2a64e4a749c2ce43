"""The media path of a call: RTP, RTCP, SRTP, jitter buffer, concealment, DTMF, codecs. WebRTC and SIP share it."""
