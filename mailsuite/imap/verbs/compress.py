"""COMPRESS: fewer octets on slow lines."""

from mailsuite.imap import commands, responses
from mailsuite.imap.session import ConnectionGone, Reply, Session

DEFLATE = b"DEFLATE"


async def compress(session: Session, command: commands.Compress) -> Reply | None:
    """
    COMPRESS (RFC 4978 section 3); it answers by itself, since everything after the answer is compressed.

    A client must not say anything before it has the answer: what came all the same cannot be read.
    """
    if command.mechanism != DEFLATE:
        return Reply("the only mechanism is DEFLATE", status=responses.BAD)
    if session.compressed:
        return Reply("DEFLATE is active already", status=responses.BAD)
    connection = session.connection
    if connection.assembler.buffered_octets:
        connection.write(responses.bye("wait for the answer to COMPRESS"))
        connection.hang_up()
        raise ConnectionGone
    connection.write(responses.tagged(command.tag, responses.OK, "DEFLATE active"))
    connection.start_deflate()
    return None
