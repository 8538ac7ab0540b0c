"""What an operator may choose about the manhole."""

import attrs

LOOPBACK = "127.0.0.1"
HOST_KEY = "keys/manhole/ssh_host_ed25519_key"


@attrs.frozen(kw_only=True)
class ManholeSettings:
    """
    Settings of a `ManholeFactory`.

    Args:
        authorized_keys: who may come in: a file in the form of OpenSSH's, or a list of public keys; without any the
            manhole is off.
        host_key: file with the server's own key; empty is `HOST_KEY` below `data_dir`.
        address: the loopback address to listen on; to listen elsewhere, name an endpoint in ``[listen]``.
        connections_max: connections in all.
        login_seconds: from the connection to a successful login, in all.
        idle_seconds: without a key stroke, after login.
    """

    authorized_keys: str | tuple[str, ...] = ()
    host_key: str = ""
    address: str = LOOPBACK
    connections_max: int = 20
    login_seconds: float = 30.0
    idle_seconds: float = 3600.0
