import sys

from notes import portal
from twisted.internet import defer, endpoints, task

from mailsuite.imap import IMAPFactory, IMAPSettings


async def main(reactor, endpoint):
    factory = IMAPFactory(portal, settings=IMAPSettings(allow_cleartext=True))
    port = await endpoints.serverFromString(reactor, endpoint).listen(factory)
    print("listening on port", port.getHost().port, flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
