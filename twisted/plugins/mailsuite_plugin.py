"""The plugins that twistd finds: the whole suite, or one role of it."""

from twisted.application.service import ServiceMaker

mailsuite = ServiceMaker("mailsuite", "mailsuite.service.tap", "Mail server: SMTP, IMAP and POP3.", "mailsuite")
mailsuite_smtp = ServiceMaker(
    "mailsuite-smtp", "mailsuite.service.tap_smtp", "mailsuite: reception and submission.", "mailsuite-smtp"
)
mailsuite_queue = ServiceMaker(
    "mailsuite-queue", "mailsuite.service.tap_queue", "mailsuite: the queue, and mail for elsewhere.", "mailsuite-queue"
)
mailsuite_imap = ServiceMaker("mailsuite-imap", "mailsuite.service.tap_imap", "mailsuite: IMAP.", "mailsuite-imap")
mailsuite_pop3 = ServiceMaker("mailsuite-pop3", "mailsuite.service.tap_pop3", "mailsuite: POP3.", "mailsuite-pop3")
