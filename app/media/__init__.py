"""Audio: RTP ports, packets and codecs on top of pyVoIP's RTPClient. Knows no signalling."""
