"""The whole suite as a part of another program, which has a service of its own."""

import os
import sys

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import MultiService
from twisted.internet import defer, endpoints, task
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo

from mailsuite.config import load_config
from mailsuite.service import make_service


async def main(reactor, path, echo_endpoint):
    program = MultiService()
    echo = endpoints.serverFromString(reactor, echo_endpoint)
    StreamServerEndpointService(echo, Factory.forProtocol(Echo)).setServiceParent(program)

    mail = make_service(load_config(path, os.environ), reactor)
    mail.setServiceParent(program)

    program.startService()
    reactor.addSystemEventTrigger("before", "shutdown", program.stopService)
    await mail.getServiceNamed("suite").when_ready()
    print("mail is served", flush=True)
    await defer.Deferred()


task.react(main, sys.argv[1:])
