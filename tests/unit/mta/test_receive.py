

from mailsuite.envelope import Peer

PEER = Peer(session="s1", ip="192.0.2.7", helo="client.far.test", esmtp=True)
