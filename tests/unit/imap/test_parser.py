"""Every command of IMAP as a value, however it was written; and what must be refused."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imap_pieces import assemble

from mailsuite.errors import ProtocolError
from mailsuite.imap import acl_commands, commands, finding_commands, metadata_commands, notify_commands, quota_commands
from mailsuite.imap.commands import ListReturn, ListSelection, MetadataRequest, StatusItem
from mailsuite.imap.fetch_grammar import FetchAttribute, FetchItems
from mailsuite.imap.finding_commands import SearchReturn
from mailsuite.imap.parser import decode_base64, parse_command
from mailsuite.imap.search_keys import And, Cost, HasFlag, HeaderContains, Numbered
from mailsuite.imap.sequence import SequenceSet
from mailsuite.imap.sort_grammar import SortCriterion, SortKey
from mailsuite.imap.threads import ThreadAlgorithm
from mailsuite.imap.tokens import BadCommandError
from mailsuite.imap.wire import AFTER_LOGIN, CommandAssembler, CommandReceived
from mailsuite.interfaces import SpecialUse, StoreMode
from mailsuite.interfaces.annotations import Depth
from mailsuite.interfaces.rights import RightsMode, parse_rights

SET = SequenceSet(((1, 3),))
SAVED = SequenceSet((), saved=True)
M = StatusItem.MESSAGES
COMMANDS = [
    (b"a CAPABILITY", commands.Capability(b"a")),
    (b"A.1 noop", commands.Noop(b"A.1")),
    (b"a LOGOUT", commands.Logout(b"a")),
    (b"a STARTTLS", commands.StartTLS(b"a")),
    (b"a CHECK", commands.Check(b"a")),
    (b"a CLOSE", commands.Close(b"a")),
    (b"a UNSELECT", commands.Unselect(b"a")),
    (b"a EXPUNGE", commands.Expunge(b"a")),
    (b"a NAMESPACE", commands.Namespace(b"a")),
    (b"a unauthenticate", commands.Unauthenticate(b"a")),
    (b"a IDLE", commands.Idle(b"a")),
    (b"a NOTIFY NONE", notify_commands.Notify(b"a", ())),
    (b"a NOTIFY SET STATUS (SELECTED NONE) (SUBTREE (x y) (MailboxName))", notify_commands.Notify(
        b"a",
        (
            notify_commands.EventGroup(notify_commands.MailboxFilter.SELECTED, (), frozenset()),
            notify_commands.EventGroup(
                notify_commands.MailboxFilter.SUBTREE, ("x", "y"), frozenset({notify_commands.NotifyEvent.MAILBOX_NAME})
            ),
        ),
        status=True,
    )),
    (b"a compress deflate", commands.Compress(b"a", b"DEFLATE")),
    (b'a GETQUOTA ""', quota_commands.GetQuota(b"a", b"")),
    (b"a GETQUOTA {2+}\r\na ", quota_commands.GetQuota(b"a", b"a ")),
    (b"a getquotaroot inbox", quota_commands.GetQuotaRoot(b"a", "INBOX")),
    (b'a SETQUOTA "" (STORAGE 512)', quota_commands.SetQuota(b"a", b"", ((b"STORAGE", 512),))),
    (b"a setquota {3+}\r\na b (storage 0 Annotation-Storage 9223372036854775807)",
     quota_commands.SetQuota(b"a", b"a b", ((b"STORAGE", 0), (b"ANNOTATION-STORAGE", 2**63 - 1)))),
    (b"a SETQUOTA Users/bob@example.test ()", quota_commands.SetQuota(b"a", b"Users/bob@example.test", ())),
    (b"a GETMETADATA x /private/comment",
     metadata_commands.GetMetadata(b"a", "x", commands.MetadataRequest(("/private/comment",)))),
    (b'a GETMETADATA "" ("/shared/a b" /PRIVATE/c {2+}\r\n/d)',
     metadata_commands.GetMetadata(b"a", "", commands.MetadataRequest(("/shared/a b", "/PRIVATE/c", "/d")))),
    (b"a getmetadata (MAXSIZE 1024 DEPTH infinity) inbox (/shared/a)",
     metadata_commands.GetMetadata(b"a", "INBOX", commands.MetadataRequest(("/shared/a",), 1024, Depth.ALL))),
    (b'a GETMETADATA "INBOX" (maxsize 0) (/shared/a)',
     metadata_commands.GetMetadata(b"a", "INBOX", commands.MetadataRequest(("/shared/a",), 0))),
    (b"a GETMETADATA (depth 1) x (MAXSIZE 4294967295) /shared/a",
     metadata_commands.GetMetadata(b"a", "x", commands.MetadataRequest(("/shared/a",), 2**32 - 1, Depth.CHILDREN))),
    (b'a SETMETADATA Entw&APw-rfe (/private/comment "my \\"own\\"")',
     metadata_commands.SetMetadata(b"a", "Entw\u00fcrfe", {"/private/comment": b'my "own"'})),
    (b'a SETMETADATA "" (/private/a NIL "/private/b" "NIL" /private/c ~{3+}\r\n\0\xff) /private/d {0+}\r\n)',
     metadata_commands.SetMetadata(
         b"a", "", {"/private/a": None, "/private/b": b"NIL", "/private/c": b"\0\xff)", "/private/d": b""})),
    (b'a SETMETADATA x (/private/a "1" /PRIVATE/A "2")',
     metadata_commands.SetMetadata(b"a", "x", {"/PRIVATE/A": b"2"})),
    (b'a LIST "" % RETURN (METADATA (/private/comment "/shared/comment") CHILDREN)',
     commands.List(b"a", "", ("%",), extended=True, returns=frozenset({ListReturn.CHILDREN}),
                   metadata=commands.MetadataRequest(("/private/comment", "/shared/comment")))),
    (b'a LIST "" % RETURN (STATUS (MESSAGES) METADATA (DEPTH 1 MAXSIZE 5) (/private/comment))',
     commands.List(b"a", "", ("%",), extended=True, status=(M,),
                   metadata=commands.MetadataRequest(("/private/comment",), 5, Depth.CHILDREN))),
    (b'a LIST "" % RETURN (METADATA /private/comment)',
     commands.List(b"a", "", ("%",), extended=True, metadata=commands.MetadataRequest(("/private/comment",)))),
    (b"a ID NIL", commands.Id(b"a", {})),
    (b"a ID ()", commands.Id(b"a", {})),
    (b'a ID ("Name" "x" "version" NIL)', commands.Id(b"a", {b"name": b"x", b"version": None})),
    (b"a AUTHENTICATE plain", commands.Authenticate(b"a", "PLAIN")),
    (b"a AUTHENTICATE SCRAM-SHA-256 =", commands.Authenticate(b"a", "SCRAM-SHA-256", b"")),
    (b"a AUTHENTICATE PLAIN AGIAYw==", commands.Authenticate(b"a", "PLAIN", b"\0b\0c")),
    (b"a LOGIN bob secret", commands.Login(b"a", b"bob", b"secret")),
    (b'a LOGIN "bob" "fo\\"o\\\\"', commands.Login(b"a", b"bob", b'fo"o\\')),
    (b'a LOGIN bob ""', commands.Login(b"a", b"bob", b"")),
    (b"a LOGIN {3+}\r\nb b {4+}\r\n)\r\n(", commands.Login(b"a", b"b b", b")\r\n(")),
    (b'a LOGIN bob "p\xc3\xa9"', commands.Login(b"a", b"bob", b"p\xc3\xa9")),
    (b"a LOGIN bob a]b", commands.Login(b"a", b"bob", b"a]b")),
    (b"a SELECT inbox", commands.Select(b"a", "INBOX")),
    (b"a SELECT x (CONDSTORE)", commands.Select(b"a", "x", condstore=True)),
    (b"a EXAMINE {1+}\r\nx (condstore CONDSTORE)", commands.Examine(b"a", "x", condstore=True)),
    (b"a SELECT x (QRESYNC (67 90))", commands.Select(b"a", "x", resync=commands.Resync(67, 90))),
    (b"a SELECT x (condstore qresync (67 90 41:211,214))",
     commands.Select(b"a", "x", condstore=True,
                     resync=commands.Resync(67, 90, SequenceSet(((41, 211), (214, 214)))))),
    (b"a EXAMINE x (QRESYNC (67 90 (1,3:4 7:9)))",
     commands.Examine(b"a", "x",
                      resync=commands.Resync(67, 90, None, (SequenceSet(((1, 1), (3, 4))), SequenceSet(((7, 9),)))))),
    (b"a SELECT x (QRESYNC (67 90 1:3 (1 3)))",
     commands.Select(b"a", "x",
                     resync=commands.Resync(67, 90, SET, (SequenceSet(((1, 1),)), SequenceSet(((3, 3),)))))),
    (b"a UID FETCH 1:3 (FLAGS) (vanished CHANGEDSINCE 5)",
     commands.Fetch(b"a", SET, FetchItems((FetchAttribute.UID, FetchAttribute.FLAGS, FetchAttribute.MODSEQ)), uid=True,
                    changed_since=5, vanished=True)),
    (b"a STATUS x (highestmodseq)", commands.Status(b"a", "x", (StatusItem.HIGHESTMODSEQ,))),
    (b"a STATUS x (MailboxId)", commands.Status(b"a", "x", (StatusItem.MAILBOXID,))),
    (b"a FETCH 1:3 (emailid threadid)",
     commands.Fetch(b"a", SET, FetchItems((FetchAttribute.EMAILID, FetchAttribute.THREADID)))),
    (b"a FETCH 1:3 savedate", commands.Fetch(b"a", SET, FetchItems((FetchAttribute.SAVEDATE,)))),
    (b"a FETCH 1:3 (FLAGS modseq)",
     commands.Fetch(b"a", SET, FetchItems((FetchAttribute.FLAGS, FetchAttribute.MODSEQ)))),
    (b"a FETCH 1:3 FLAGS (changedsince 9223372036854775807)",
     commands.Fetch(b"a", SET, FetchItems((FetchAttribute.FLAGS, FetchAttribute.MODSEQ)), changed_since=2**63 - 1)),
    (b"a UID FETCH 1:3 (MODSEQ) (CHANGEDSINCE 1)",
     commands.Fetch(b"a", SET, FetchItems((FetchAttribute.UID, FetchAttribute.MODSEQ)), uid=True, changed_since=1)),
    (b"a STORE 1:3 (UNCHANGEDSINCE 0) FLAGS x",
     commands.Store(b"a", SET, StoreMode.REPLACE, frozenset({"x"}), unchanged_since=0)),
    (b"a UID STORE 1:3 (unchangedsince 12) +FLAGS.SILENT (\\Seen)",
     commands.Store(b"a", SET, StoreMode.ADD, frozenset({"\\Seen"}), silent=True, uid=True, unchanged_since=12)),
    (b'a EXAMINE "Entw&APw-rfe"', commands.Examine(b"a", "Entw\u00fcrfe")),
    (b"a EXAMINE {5+}\r\na b/c", commands.Examine(b"a", "a b/c")),
    (b"a CREATE x/y/", commands.Create(b"a", "x/y")),
    (b"a CREATE x (USE (\\sent \\Junk))",
     commands.Create(b"a", "x", frozenset({SpecialUse.SENT, SpecialUse.JUNK}))),
    (b"a DELETE x", commands.Delete(b"a", "x")),
    (b"a RENAME x y/", commands.Rename(b"a", "x", "y")),
    (b"a SUBSCRIBE x", commands.Subscribe(b"a", "x")),
    (b"a UNSUBSCRIBE x", commands.Unsubscribe(b"a", "x")),
    (b'a LIST "" *', commands.List(b"a", "", ("*",))),
    (b'a LIST "" ""', commands.List(b"a", "", ("",))),
    (b"a LIST x/ %]", commands.List(b"a", "x/", ("%]",))),
    (b'a LIST "" "R&-D/&AOk-%"', commands.List(b"a", "", ("R&D/\u00e9%",))),
    (b'a LIST () "" (a b "*")', commands.List(b"a", "", ("a", "b", "*"), extended=True)),
    (b'a LIST (SUBSCRIBED RECURSIVEMATCH) "" %',
     commands.List(b"a", "", ("%",), extended=True,
                   selection=frozenset({ListSelection.SUBSCRIBED, ListSelection.RECURSIVEMATCH}))),
    (b'a LIST (special-use) "" * RETURN (CHILDREN SUBSCRIBED myRights special-use STATUS (SIZE MESSAGES))',
     commands.List(b"a", "", ("*",), extended=True, selection=frozenset({ListSelection.SPECIAL_USE}),
                   returns=frozenset(ListReturn), status=(StatusItem.SIZE, M))),
    (b'a LIST "" * RETURN ()', commands.List(b"a", "", ("*",), extended=True)),
    (b'a LSUB "#x" %', commands.Lsub(b"a", "#x", "%")),
    (b"a STATUS x (MESSAGES unseen)", commands.Status(b"a", "x", (M, StatusItem.UNSEEN))),
    (b"a ENABLE condstore X-FOO", commands.Enable(b"a", (b"CONDSTORE", b"X-FOO"))),
    (b"a SEARCH SEEN", finding_commands.Search(b"a", HasFlag("\\Seen"))),
    (b"a SEARCH return () SEEN",
     finding_commands.Search(b"a", HasFlag("\\Seen"), returns=frozenset({SearchReturn.ALL}))),
    (b"a UID SEARCH RETURN (min COUNT) CHARSET utf-8 SEEN",
     finding_commands.Search(
         b"a", HasFlag("\\Seen"), uid=True, returns=frozenset({SearchReturn.MIN, SearchReturn.COUNT}))),
    (b"a UID SEARCH FROM {3+}\r\na)b", finding_commands.Search(b"a", HeaderContains(b"from", "a)b"), uid=True)),
    (b"a FETCH 1:3 FLAGS", commands.Fetch(b"a", SET, FetchItems((FetchAttribute.FLAGS,)))),
    (b"a UID FETCH 3:1 (FLAGS)",
     commands.Fetch(b"a", SET, FetchItems((FetchAttribute.UID, FetchAttribute.FLAGS)), uid=True)),
    (b"a STORE 1:3 FLAGS ()", commands.Store(b"a", SET, StoreMode.REPLACE, frozenset())),
    (b"a STORE 1:3 FLAGS (\\Foo)", commands.Store(b"a", SET, StoreMode.REPLACE, frozenset())),
    (b"a STORE 1:3 FLAGS \\Recent", commands.Store(b"a", SET, StoreMode.REPLACE, frozenset())),
    (b"a STORE 1:3 FLAGS (\\Foo \\seen \\RECENT x)",
     commands.Store(b"a", SET, StoreMode.REPLACE, frozenset({"\\Seen", "x"}))),
    (b"a STORE 1:3 -FLAGS \\Foo x \\Recent \\Seen",
     commands.Store(b"a", SET, StoreMode.REMOVE, frozenset({"\\Seen", "x"}))),
    (b"a STORE 1:3 +flags.silent (\\seen $Junk)",
     commands.Store(b"a", SET, StoreMode.ADD, frozenset({"\\Seen", "$Junk"}), silent=True)),
    (b"a UID STORE 1:3 -FLAGS \\Deleted \\DRAFT",
     commands.Store(b"a", SET, StoreMode.REMOVE, frozenset({"\\Deleted", "\\Draft"}), uid=True)),
    (b"a SEARCH RETURN (SAVE) $",
     finding_commands.Search(b"a", Numbered(SAVED, uid=False), returns=frozenset({SearchReturn.SAVE}))),
    (b"a UID SEARCH UID $", finding_commands.Search(b"a", Numbered(SAVED, uid=True), uid=True)),
    (b"a FETCH 1:3,$ FLAGS",
     commands.Fetch(b"a", SequenceSet(((1, 3),), saved=True), FetchItems((FetchAttribute.FLAGS,)))),
    (b"a UID COPY 1:3,$ x", commands.Copy(b"a", SequenceSet(((1, 3),), saved=True), "x", uid=True)),
    (b"a SEARCH 1:3,$ UID 1:3,$",
     finding_commands.Search(b"a", And(
         (Numbered(SequenceSet(((1, 3),), saved=True), uid=False),
          Numbered(SequenceSet(((1, 3),), saved=True), uid=True)), 2, Cost.NUMBERS))),
    (b"a FETCH $ FLAGS", commands.Fetch(b"a", SAVED, FetchItems((FetchAttribute.FLAGS,)))),
    (b"a STORE $ FLAGS ()", commands.Store(b"a", SAVED, StoreMode.REPLACE, frozenset())),
    (b"a UID MOVE $ x", commands.Move(b"a", SAVED, "x", uid=True)),
    (b"a UID EXPUNGE $", commands.Expunge(b"a", SAVED)),
    (b"a SORT (REVERSE date subject) utf-8 SEEN",
     finding_commands.Sort(b"a", (SortCriterion(SortKey.DATE, reverse=True), SortCriterion(SortKey.SUBJECT)),
                   HasFlag("\\Seen"))),
    (b"a UID SORT RETURN (COUNT) (FROM) {5+}\r\nUTF-8 SEEN",
     finding_commands.Sort(b"a", (SortCriterion(SortKey.FROM),), HasFlag("\\Seen"), uid=True,
                   returns=frozenset({SearchReturn.COUNT}))),
    (b"a THREAD references UTF-8 SEEN",
     finding_commands.Thread(b"a", ThreadAlgorithm.REFERENCES, HasFlag("\\Seen"))),
    (b'a UID THREAD ORDEREDSUBJECT "us-ascii" SEEN',
     finding_commands.Thread(b"a", ThreadAlgorithm.ORDEREDSUBJECT, HasFlag("\\Seen"), uid=True)),
    (b"a COPY 1:3 x", commands.Copy(b"a", SET, "x")),
    (b"a UID COPY 1:3 x", commands.Copy(b"a", SET, "x", uid=True)),
    (b"a MOVE 1:3 x", commands.Move(b"a", SET, "x")),
    (b"a SETACL x bob@example.test lrs",
     acl_commands.SetACL(b"a", "x", "bob@example.test", RightsMode.REPLACE, parse_rights("lrs"))),
    (b'a SETACL x anyone ""', acl_commands.SetACL(b"a", "x", "anyone", RightsMode.REPLACE, parse_rights(""))),
    (b"a setacl x {3+}\r\nbob +d", acl_commands.SetACL(b"a", "x", "bob", RightsMode.ADD, parse_rights("te"))),
    (b'a SETACL x "b" -cl', acl_commands.SetACL(b"a", "x", "b", RightsMode.REMOVE, parse_rights("kxl"))),
    (b"a DELETEACL INBOX -bob", acl_commands.DeleteACL(b"a", "INBOX", "-bob")),
    (b"a GETACL x", acl_commands.GetACL(b"a", "x")),
    (b"a LISTRIGHTS x {4+}\r\nbe\xcc\x81", acl_commands.ListRights(b"a", "x", "b\u00e9", b"be\xcc\x81")),
    (b"a MYRIGHTS inbox", acl_commands.MyRights(b"a", "INBOX")),
    (b"a uid move 1:3 x", commands.Move(b"a", SET, "x", uid=True)),
    (b"a UID EXPUNGE 1:3", commands.Expunge(b"a", SET)),
]  # fmt: skip


def refusal(data):
    with pytest.raises(BadCommandError) as refused:
        parse_command(assemble(data + b"\r\n"))
    assert refused.value.detail.isascii()
    return refused.value


@pytest.mark.parametrize(("text", "command"), COMMANDS)
def test_a_command_is_this_value(text, command):
    assert parse_command(assemble(text + b"\r\n")) == command


@pytest.mark.parametrize(("text", "command"), COMMANDS)
def test_anything_after_the_last_argument_is_refused(text, command):
    for more in (b" ", b" )", b" (", b"\x01", b' "'):
        assert refusal(text + more).tag == command.tag


def test_no_command_is_missing_from_the_table():
    tried = {command.name for _, command in COMMANDS}
    assert {command.name for command in commands.Command.__subclasses__()} - tried == {"APPEND", "REPLACE"}


@pytest.mark.parametrize(
    "arguments",
    [
        b"SETACL x bob lrQ", b"SETACL x bob lrq", b"SETACL x bob lr1", b"SETACL x bob +-l", b"SETACL x bob ++",
        b"SETACL x bob", b'SETACL x "" lr', b'SETACL x " " lr', b'SETACL x "a\tb" lr', b"SETACL x bob lr s",
        b"SETACL x {1+}\r\n\xff lr", b"SETACL x bob {1+}\r\n\xff", b"DELETEACL x", b'DELETEACL x ""', b"GETACL",
        b"GETACL x y", b"LISTRIGHTS x", b"MYRIGHTS", b"MYRIGHTS x y", b"UID SETACL x bob lr",
    ],
)  # fmt: skip
def test_rights_and_identifiers_that_are_none_are_bad(arguments):
    refused = refusal(b"a " + arguments)
    assert (refused.tag, refused.status) == (b"a", b"BAD")


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (b"METADATA (/a) METADATA (/a)", MetadataRequest(("/a",))),
        (b"METADATA (/a /b) STATUS (UNSEEN) METADATA (/c /A)", MetadataRequest(("/a", "/b", "/c"))),
        (b"METADATA (DEPTH 1) (/a) METADATA (DEPTH infinity) /b", MetadataRequest(("/a", "/b"), None, Depth.ALL)),
        (b"METADATA (MAXSIZE 9) (/a) METADATA (MAXSIZE 10) (/b)", MetadataRequest(("/a", "/b"), 10)),
        (b"METADATA (MAXSIZE 9) (/a) METADATA (/b)", MetadataRequest(("/a", "/b"))),
    ],
)
def test_an_option_of_list_that_is_given_twice_counts_once(options, wanted):
    command = parse_command(assemble(b'a LIST "" INBOX RETURN (CHILDREN %b CHILDREN)\r\n' % options))
    assert command.metadata == wanted
    assert command.returns == {ListReturn.CHILDREN}


def test_many_options_do_not_ask_for_more_than_one():
    many = b" ".join([b"METADATA (/%d)" % number for number in range(257)])
    assert refusal(b'a LIST "" INBOX RETURN (%b)' % many).status == b"BAD"


@pytest.mark.parametrize("command", [b"SETACL x %b lr", b"DELETEACL x %b", b"LISTRIGHTS x %b"])
def test_identifiers_are_prepared(command):
    def literal(text):
        return b"{%d+}\r\n%b" % (len(text.encode()), text.encode())

    for text, prepared in (("bo\u00adb@x", "bob@x"), ("\u2168@x", "IX@x"), ("u\u0308@x", "\u00fc@x")):
        assert parse_command(assemble(b"a " + command % literal(text) + b"\r\n")).identifier == prepared
    for text in ("\u00ad", "a\u200eb", "\u0627a", "a\ue000"):
        assert refusal(b"a " + command % literal(text)).status == b"BAD"


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        (b"", None),
        (b" ", None),
        (b" NOOP", None),
        (b"+ NOOP", None),
        (b"a+b NOOP", None),
        (b"* NOOP", None),
        (b"\xc3\xa9 NOOP", None),
        (b"t" * 65 + b" NOOP", None),
        (b"a", b"a"),
        (b"t" * 64, b"t" * 64),
        (b"a ", b"a"),
        (b"a  NOOP", b"a"),
        (b"a NOPE", b"a"),
        (b"a __init__", b"a"),
        (b"a NOOP x", b"a"),
        (b"a LOGIN", b"a"),
        (b"a LOGIN x", b"a"),
        (b'a LOGIN "x y', b"a"),
        (b'a LOGIN "x\\y" z', b"a"),
        (b"a LOGIN {-5}", b"a"),
        (b"a LOGIN {5", b"a"),
        (b"a LOGIN (x) y", b"a"),
        (b'a LOGIN "x"y', b"a"),
        (b"a AUTHENTICATE PLAIN !", b"a"),
        (b"a AUTHENTICATE PLAIN AGI", b"a"),
        (b"a AUTHENTICATE PLAIN A===", b"a"),
        (b"a SELECT", b"a"),
        (b"a SELECT INBOX (X)", b"a"),
        (b"a CREATE x (USE)", b"a"),
        (b"a CREATE x (FOO (\\Sent))", b"a"),
        (b'a LIST "" * RETURN', b"a"),
        (b'a LIST "" * FOO ()', b"a"),
        (b'a LIST (FOO) "" *', b"a"),
        (b'a LIST (RECURSIVEMATCH) "" *', b"a"),
        (b'a LIST (RECURSIVEMATCH REMOTE) "" *', b"a"),
        (b'a LIST (SPECIAL-USE RECURSIVEMATCH) "" %', b"a"),
        (b'a LIST "" * RETURN (FOO)', b"a"),
        (b'a LIST "" ()', b"a"),
        (b"a STATUS x", b"a"),
        (b"a STATUS x ()", b"a"),
        (b"a STATUS x (FOO)", b"a"),
        (b"a STORE 1 FLAGS", b"a"),
        (b"a STORE 1 FLAGS ", b"a"),
        (b"a STORE 1 FLAGS (\\*)", b"a"),
        (b"a STORE 1 FLAGS (\\)", b"a"),
        (b"a STORE 1 FLAGS (\\Foo \\*)", b"a"),
        (b"a STORE 1 FLAGS \\Foo\\Seen", b"a"),
        (b"a STORE 1 FLAGS (a b", b"a"),
        (b"a STORE 1 FLAGS.LOUD (a)", b"a"),
        (b"a STORE x FLAGS (a)", b"a"),
        (b"a COPY 1", b"a"),
        (b"a UID NOOP", b"a"),
        (b"a UID", b"a"),
        (b"a UID EXPUNGE", b"a"),
        (b"a EXPUNGE 1:3", b"a"),
        (b"a ID x", b"a"),
        (b'a ID ("x")', b"a"),
        (b'a ID (NIL "x")', b"a"),
        (b'a ID ("' + b"x" * 31 + b'" "x")', b"a"),
        (b"a ID (" + b'"x" "x" ' * 30 + b'"x" "x")', b"a"),
        (b"a ENABLE", b"a"),
        (b"a APPEND x", b"a"),
        (b'a APPEND x "message"', b"a"),
        (b"a REPLACE 1 x", b"a"),
        (b"a UID REPLACE 1 x", b"a"),
        (b"a REPLACE", b"a"),
        (b"a FETCH 1 (((((FLAGS)))))", b"a"),
        (b"a SEARCH RETURN", b"a"),
        (b"a SORT", b"a"),
        (b"a THREAD", b"a"),
        (b"a THREAD FOO UTF-8 ALL", b"a"),
        (b"a THREAD REFERENCES UTF-8", b"a"),
        (b"a THREAD (REFERENCES) UTF-8 ALL", b"a"),
        (b"a SORT DATE UTF-8 ALL", b"a"),
        (b"a SORT (DATE) UTF-8", b"a"),
        (b"a SORT (DATE) UTF-8 ", b"a"),
        (b"a SORT (DATE)UTF-8 ALL", b"a"),
        (b"a COPY $,1 x", b"a"),
        (b"a COPY $:* x", b"a"),
        (b"a COPY $$ x", b"a"),
        (b"a SEARCH $1", b"a"),
        (b"a SEARCH RETURN ALL", b"a"),
        (b"a SEARCH RETURN (ALL)", b"a"),
        (b"a SEARCH RETURN (ALL) ", b"a"),
        (b"a SEARCH RETURN (FOO) ALL", b"a"),
        (b"a SEARCH RETURN (ALL ) ALL", b"a"),
        (b"a SEARCH RETURN (ALL)ALL", b"a"),
        (b"a SEARCH CHARSET UTF-8 RETURN (ALL) ALL", b"a"),
    ],
)
def test_a_bad_command_is_refused_under_its_tag(text, tag):
    error = refusal(text)
    assert (error.tag, error.status) == (tag, b"BAD")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"a SELECT ../x", b"CANNOT"),
        (b'a SELECT ""', b"CANNOT"),
        (b"a SELECT &AC8-", b"CANNOT"),
        (b'a SELECT "\xc3\xa9"', b"CANNOT"),
        (b"a CREATE /", b"CANNOT"),
        (b"a CREATE a//", b"CANNOT"),
        (b"a CREATE x (USE (\\Foo))", b"USEATTR"),
        (b"a STORE 1 FLAGS (" + b"k" * 51 + b")", b"LIMIT"),
        (b"a COPY 1" + b",3" * 10000 + b" x", b"LIMIT"),
        (b"a SORT (DATE) CHARSET UTF-8 ALL", b"BADCHARSET (US-ASCII UTF-8)"),
        (b"a THREAD REFERENCES x ALL", b"BADCHARSET (US-ASCII UTF-8)"),
        (b"a SORT (DATE) x ALL", b"BADCHARSET (US-ASCII UTF-8)"),
        (b"a SEARCH CHARSET x ALL", b"BADCHARSET (US-ASCII UTF-8)"),
    ],
)
def test_a_value_that_cannot_be_is_no_and_not_bad(text, code):
    error = refusal(text)
    assert (error.tag, error.status, error.code) == (b"a", b"NO", code)


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT x ()",
        b"SELECT x (CONDSTORE",
        b"SELECT x (X-OTHER)",
        b"SELECT x (QRESYNC)",
        b"SELECT x (QRESYNC ())",
        b"SELECT x (QRESYNC (1))",
        b"SELECT x (QRESYNC (0 1))",
        b"SELECT x (QRESYNC (1 0))",
        b"SELECT x (QRESYNC (4294967296 1))",
        b"SELECT x (QRESYNC (1 1 ))",
        b"SELECT x (QRESYNC (1 1 *))",
        b"SELECT x (QRESYNC (1 1 1:*))",
        b"SELECT x (QRESYNC (1 1 1 ()))",
        b"SELECT x (QRESYNC (1 1 1 (1)))",
        b"SELECT x (QRESYNC (1 1 1 (1:2 1)))",
        b"SELECT x (QRESYNC (1 1 1 (1 *)))",
        b"SELECT x (QRESYNC (1 1 1 (1 1) 1))",
        b"SELECT x (QRESYNC (1 1) QRESYNC (1 1))",
        b"UID FETCH 1 FLAGS (VANISHED)",
        b"UID FETCH 1 FLAGS (VANISHED VANISHED CHANGEDSINCE 1)",
        b"UID FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
        b"SELECT x (CONDSTORE) ",
        b"FETCH 1 FLAGS (CHANGEDSINCE 0)",
        b"FETCH 1 FLAGS (CHANGEDSINCE)",
        b"FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)",
        b"FETCH 1 FLAGS (CHANGEDSINCE " + b"1" * 1000 + b")",
        b"FETCH 1 FLAGS (CHANGEDSINCE 1) x",
        b"FETCH 1 FLAGS (X-OTHER 1)",
        b"FETCH 1 FLAGS(CHANGEDSINCE 1)",
        b"STORE 1 (UNCHANGEDSINCE) FLAGS x",
        b"STORE 1 (UNCHANGEDSINCE 1)FLAGS x",
        b"STORE 1 (UNCHANGEDSINCE -1) FLAGS x",
        b"STORE 1 (CHANGEDSINCE 1) FLAGS x",
        b"SEARCH MODSEQ",
        b"SEARCH EMAILID",
        b"SEARCH EMAILID (x)",
        b"SEARCH EMAILID M.x",
        b"SEARCH THREADID " + b"x" * 256,
        b"SEARCH SAVEDON",
        b"SEARCH SAVEDON 31-Feb-2020",
        b"SEARCH MODSEQ x",
        b'SEARCH MODSEQ "/flags/x" 1',
        b'SEARCH MODSEQ "/flags/x" both 1',
        b'SEARCH MODSEQ "x" all 1',
        b"SEARCH MODSEQ 9223372036854775808",
    ],
)
def test_modifiers_that_cannot_be_are_bad(text):
    error = refusal(b"a " + text)
    assert (error.tag, error.status) == (b"a", b"BAD")


def test_a_password_is_never_shown():
    assert "secret" not in repr(parse_command((b"a LOGIN bob secret",)))
    assert "bob" not in repr(parse_command((b"a AUTHENTICATE PLAIN AGJvYgBzZWNyZXQ=",)))


def test_a_refused_login_does_not_repeat_its_password():
    assert "secret" not in refusal(b"a LOGIN bob secret secret2").detail


@pytest.mark.parametrize(("text", "octets"), [(b"=", b""), (b"", b""), (b"AGI=", b"\0b")])
def test_an_answer_in_authenticate_is_base64(text, octets):
    assert decode_base64(text) == octets


def test_what_is_not_base64_is_refused():
    for text in (b"!", b"AGI", b"AG I=", b"\xff\xff\xff\xff"):
        with pytest.raises(BadCommandError):
            decode_base64(text)


words = st.sampled_from([
    b"a", b" ", b" ", b" ", b"(", b")", b'"', b"\\", b"{3+}\r\nxyz", b"{0+}\r\n", b"*", b"%", b"1:3", b"NIL",
    b"FETCH", b"UID", b"SEARCH", b"STORE", b"LIST", b"FLAGS", b"BODY[", b"]", b"<0.1>", b"OR", b"NOT", b"CHARSET",
    b"(CHANGEDSINCE 5)", b"(UNCHANGEDSINCE 5)", b"(CONDSTORE)", b"MODSEQ",
    b"(QRESYNC (1 2", b"))", b"VANISHED", b"SELECT",
    b"UTF-8", b"&", b"-", b"RETURN", b"STATUS", b"ID", b"CREATE", b"\xc3\xa9", b"\x7f", b"}", b"~", b",", b"."
])  # fmt: skip


@settings(deadline=None, max_examples=400)
@given(st.one_of(st.binary(max_size=60), st.lists(words, max_size=25).map(lambda found: b"a " + b"".join(found))))
def test_random_octets_raise_nothing_but_protocol_errors(data):
    assembler = CommandAssembler(AFTER_LOGIN)
    assembler.feed(data + b"\r\n")
    while (event := assembler.next_event()) is not None:
        if isinstance(event, CommandReceived):
            with contextlib.suppress(ProtocolError):
                parse_command(event.pieces)
