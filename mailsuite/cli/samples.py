"""The mail that a demo begins with: real messages, sent the way a client sends them."""

import smtplib
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate

import attrs

SMTP_SECONDS = 30
_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000008000000080802000000"
    "4b6d29dc0000001349444154789c63f8cfc08015e1161d84120034ef3fc1c4eb70b90000000049454e44ae426082"
)


@attrs.frozen
class Sample:
    """
    One message.

    Args:
        sender: local part of the account that sends it.
        recipients: local parts.
    """

    sender: str
    recipients: Sequence[str]
    message: EmailMessage


def make_samples(domain: str) -> Sequence[Sample]:
    """Write the messages: a thread, HTML, an attachment, names and text beyond ASCII."""
    first_id = f"<welcome.1@{domain}>"
    second_id = f"<welcome.2@{domain}>"

    welcome = _message("admin", ["alice"], "Welcome to mailsuite", domain)
    welcome.set_content(
        "Hello Alice,\n\nthis mailbox is yours: read it over IMAP or POP3, write from it over SMTP.\n\nYour admin\n"
    )

    question = _message("bob", ["alice", "carol"], "Lunch on Thursday?", domain, message_id=first_id)
    question.set_content("Shall we meet at noon?\n\nBob\n")

    answer = _message("carol", ["alice", "bob"], "Re: Lunch on Thursday?", domain, message_id=second_id)
    answer["In-Reply-To"] = first_id
    answer["References"] = first_id
    answer.set_content("> Shall we meet at noon?\n\nHalf past, please.\n\nCarol\n")

    closing = _message("bob", ["alice", "carol"], "Re: Lunch on Thursday?", domain)
    closing["In-Reply-To"] = second_id
    closing["References"] = f"{first_id} {second_id}"
    closing.set_content("> Half past, please.\n\nDone.\n\nBob\n")

    letter = _message("carol", ["alice"], "Grüße aus Köln, 日本語もどうぞ", domain)
    letter.set_content("Schöne Grüße, Алиса!\n\nこんにちは。\n\nCarol\n")

    newsletter = _message("bob", ["alice"], "The week in pictures", domain)
    newsletter.set_content("This message has an HTML part with a picture.\n")
    newsletter.add_alternative(
        '<html><body><h1>The week</h1><p>One picture: <img src="cid:square"></p></body></html>\n', subtype="html"
    )
    html = list(newsletter.iter_parts())[1]
    assert isinstance(html, EmailMessage)
    html.add_related(_PNG, maintype="image", subtype="png", cid="<square>")

    report = _message("carol", ["alice"], "Figures for November", domain)
    report.set_content("The figures are attached.\n")
    rows = "month,messages\nSeptember,1200\nOctober,1350\nNovember,1500\n"
    report.add_attachment(rows.encode("utf-8"), maintype="text", subtype="csv", filename="figures.csv")

    return (
        Sample("admin", ["alice"], welcome),
        Sample("bob", ["alice", "carol"], question),
        Sample("carol", ["alice", "bob"], answer),
        Sample("bob", ["alice", "carol"], closing),
        Sample("carol", ["alice"], letter),
        Sample("bob", ["alice"], newsletter),
        Sample("carol", ["alice"], report),
    )


def _message(
    sender: str, recipients: Sequence[str], subject: str, domain: str, *, message_id: str | None = None
) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"{sender.capitalize()} <{sender}@{domain}>"
    message["To"] = ", ".join(f"{name.capitalize()} <{name}@{domain}>" for name in recipients)
    message["Subject"] = subject
    message["Date"] = formatdate(localtime=False)
    if message_id is not None:
        message["Message-ID"] = message_id
    return message


def send_samples(address: tuple[str, int], samples: Sequence[Sample], passwords: Mapping[str, str]) -> None:
    """
    Send them, in order, over one connection for each sender. Blocks.

    Args:
        address: of a submission service that allows logins without TLS, on loopback.
        passwords: by local part.

    Raises:
        OSError: the service is not there, or refuses (``smtplib.SMTPException``).
    """
    open_: dict[str, smtplib.SMTP] = {}
    try:
        for sample in samples:
            if sample.sender not in open_:
                client = smtplib.SMTP(*address, timeout=SMTP_SECONDS)
                open_[sample.sender] = client
                client.login(str(sample.message["From"].addresses[0].addr_spec), passwords[sample.sender])
            open_[sample.sender].send_message(sample.message)
    finally:
        for client in open_.values():
            client.close()
