"""A SIP signalling library in its own right (RFC 3261 and what phone calls need beside it).

All layers but the last decide and never wait: no sockets, no clock, no tasks. Bytes and times go in, messages and
effects come out, so that every rule is tested by stepping inputs. Media is known by its session description only.

    layer               module                                       what goes in and out
    grammar             grammar, uri, headers, status                text ↔ values
    messages            message, parser, stream, inspection          bytes → Request | Response | Rejection
    transactions        transaction (+ client_, server_), timers     messages, time → effects
    dialogs             dialog, invitation                           messages → requests of ours; 2xx until ACK, forks
    media               sdp, codecs, crypto, media, offer_answer,    descriptions → Agreement
                        glare
    identity            auth                                         challenges and their answers
    calls               session_timer, dialog_call, call_machine,    one call, incoming or outgoing
                        caller_machine
    defence             trunk, gate, admission, refusals             who is read, who is answered, who may call
    the whole           user_agent, call_table, performing, flow     messages → calls of an application, and back
    the application's   call, caller                                 what it is told of a call, what it decides
    the shell           endpoint, streams, connection, datagrams     sockets, TLS and the clock (asyncio)

To take calls, start at `endpoint.SipEndpoint` and `call.Application`. Each layer is of use without those above it; the
transactions with a UDP socket of one's own, in ten lines:

    table, calls = TransactionTable(), {}
    data, source = socket.recvfrom(65_535)
    message = parse_datagram(data)                                  # never raises
    if isinstance(message, Rejection):
        answer = message.response(new_tag())                        # None: be silent
    elif isinstance(message, Request):
        message.stamp_source(*source)                               # received and rport
        for effect in table.receive_request(now, message, reliable=False, flow=source):
            perform(effect)                                         # SendMessage, RequestArrived, AckArrived …
    next_wake_up = table.next_deadline()                            # then: table.handle_timer(now)

Performing `RequestArrived` for an INVITE makes a `CalleeCall`; its `ring`, `answer` and `hang_up` return effects too.

What peers send is forgiven where that is harmless and refused with the status that fits where it is not; what we
send is strict. Errors: `errors`, one small tree; faults of the peer and of our own are different types.
"""
