"""One open connection as an operator sees it, whatever protocol it speaks."""

import attrs


@attrs.frozen(kw_only=True)
class OpenSession:
    """
    What a server tells of one of its connections.

    Args:
        session: its id, as in the log.
        peer: textual address; empty for a unix socket.
        account: who is logged in; empty for nobody.
        began: on the server's clock.
        doing: the protocol's state and the last command that it knows.
    """

    session: str
    peer: str
    account: str
    tls: bool
    began: float
    doing: str

    def row(self, service: str, now: float) -> dict[str, object]:
        """
        Give it as plain values.

        Args:
            service: the key of ``[listen]`` that it came in by.
            now: on the same clock as `began`.
        """
        return {
            "id": self.session,
            "service": service,
            "peer": self.peer,
            "account": self.account,
            "tls": self.tls,
            "seconds": max(0, int(now - self.began)),
            "doing": self.doing,
        }
