import errno
import os
import re

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies

from mailsuite.address import Address
from mailsuite.envelope import Peer, Recipient, Sender
from mailsuite.errors import Kind, MailError
from mailsuite.interfaces import IMailReceiver, IMailTransaction, Receipt, Resolution, ResolutionKind
from mailsuite.mta import Receiver
from mailsuite.smtp.replies import reply_to
from mailsuite.testing.faults import FaultyDisk
from zope.interface.verify import verifyObject



PEER = Peer(session="s1", ip="192.0.2.7", helo="client.far.test", esmtp=True)
