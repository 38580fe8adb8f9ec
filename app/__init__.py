"""Dial-to-SIP: one HTTP request places a SIP call, and every event of that call reaches the customer's webhook.

A dial request walks through the product once, top to bottom; read these files in this order and you know it:

1. `api/dials.py`         the request comes in over HTTP and is checked whole
2. `rcml/parse.py`        RCML (or `rcml/jsonform.py`, JSON) becomes a plan, or every problem with its place
3. `dialing/place.py`     the plan becomes rows: parent call and legs in one commit, one notification
4. `worker/pool.py`       a worker with room claims them (`store/queue.py`), under a lease and a fencing number
5. `dialing/run.py`       the document runs verb by verb (`interpret.py`); a `<Dial>` is a race (`perform.py`)
6. `dialing/leg.py`       one leg from INVITE to its one way out; the phone is behind `calls/ports.py`
7. `sip/call.py`          what that means on the wire, on pyVoIP's classes (audio: `media/rtp.py`, `media/bridge.py`)
8. `dialing/record.py`    status, event and what is owed to callbacks, in one transaction (`store/changes.py`)
9. `webhooks/dispatch.py` owed deliveries are claimed and attempted until they are delivered or dead

Incoming calls enter at `sip/switchboard.py` and join at 5 (`worker/arrivals.py`); `recordings/` keeps what was said.
Beside the road, `worker/tap.py` copies each leg's SIP messages and `trace/` shows them as JSON, text, drawing or pcap.
`wiring/` is where the parts meet, `supervisor.py` the role `all` over the role processes, `calls/` the domain
that everybody shares and `runtime/` what every process needs. A package imports only what is below it.
"""
