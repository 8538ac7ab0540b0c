"""Run the whole suite: MAILSUITE_CONFIG=/path/to/mailsuite.toml twistd -ny etc/mailsuite.tac."""

from twisted.application.service import Application

from mailsuite.service.tap import make_application

application = Application("mailsuite")
make_application({"config": None}).setServiceParent(application)
