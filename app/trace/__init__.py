"""SIP messages of a call as people read them: JSON, text ladder, drawn ladder, pcap. Pure: no I/O, no database."""
