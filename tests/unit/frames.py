"""One frame of every message as golden bytes, and how tests make and break frames."""

import struct
from typing import Any, get_args

import msgspec
import pytest

from p2pgrid.errors import RemoteProtocolError
from p2pgrid.protocol import messages as m, values as v
from p2pgrid.protocol.arrays import ArrayHeader
from p2pgrid.protocol.codec import Envelope, Kind, decode, encode
from p2pgrid.protocol.columns import Column
from p2pgrid.protocol.counts import Counts
from p2pgrid.protocol.messages import Message, Op, Operate, Slice
from p2pgrid.protocol.queries import Query
from p2pgrid.protocol.schemas import DatasetSchema, TensorSchema
from p2pgrid.protocol.signatures import ActorClassInfo, MethodInfo, Parameter

LIMIT = 1 << 30
MIB = 1 << 20
TYPES: tuple[type[Any], ...] = get_args(Message)
OWN = b"sessionprefix" + bytes(3)
KEY = bytes(range(32))
HEADER = ArrayHeader("float32", (1, 2), 0)
QUERY = Query(exact_tags=("#bp",), anywhere=("heart",))
BP = DatasetSchema.of("bp", {"values": TensorSchema("bp", (Column("bp", "float32", 0, 300),))})
COUNTER = ActorClassInfo(
    "Counter",
    (Parameter("start", "int", has_default=True),),
    (MethodInfo("incr", (Parameter("by", "int | float"),), "int", "Adds.", releases=True),),
    "Counts.",
)
EVERY_VALUE = (
    *(None, True, -2, 0.5, "mmHg"),
    *(v.Ref(OWN), v.Arriving(OWN), v.BytesValue(b"raw"), v.ArrayValue(HEADER)),
    *(v.ListValue((1,)), v.TupleValue((v.ListValue(()),)), v.DictValue({"key": None})),
)

Golden = tuple[Kind, Message | None, bytes, str]

#: One frame of every message: what it is, the bytes of its one array, and the whole frame in hex.
#: A change here is a change of the wire: it needs a new ``WIRE_VERSION``.
GOLDEN: dict[str, Golden] = {
    "begin": (
        Kind.REQUEST,
        m.Begin(),
        b"",
        "1d0000001900000094000782a474797065a5626567696ea776657273696f6e0190",
    ),
    "challenge": (
        Kind.ANSWER,
        m.Challenge("domain", "clinic", OWN, b"record", 1.5),
        b"",
        "640000006000000094010786a474797065a96368616c6c656e6765a46b696e64a6646f6d61696ea4"
        "6e616d65a6636c696e6963a56e6f6e6365c41073657373696f6e707265666978000000a67265636f"
        "7264c4067265636f7264a36e6f77cb3ff800000000000090",
    ),
    "login": (
        Kind.REQUEST,
        m.Login(b"statement", KEY + KEY, b"capability"),
        b"",
        "8c0000008800000094000784a474797065a56c6f67696ea973746174656d656e74c4097374617465"
        "6d656e74a97369676e6174757265c440000102030405060708090a0b0c0d0e0f1011121314151617"
        "18191a1b1c1d1e1f000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "aa6361706162696c697479c40a6361706162696c69747990",
    ),
    "session": (
        Kind.ANSWER,
        m.Session("ann", "scientist", OWN[:8], bytes(8), b"capability"),
        b"",
        "680000006400000094010786a474797065a773657373696f6ea76163636f756e74a3616e6ea4726f"
        "6c65a9736369656e74697374a6707265666978c40873657373696f6e70a46c617374c40800000000"
        "00000000aa6361706162696c697479c40a6361706162696c69747990",
    ),
    "revoke": (
        Kind.REQUEST,
        m.Revoke(OWN, b"capability"),
        b"",
        "430000003f00000094000783a474797065a67265766f6b65a46c696e6bc41073657373696f6e7072"
        "65666978000000aa6361706162696c697479c40a6361706162696c69747990",
    ),
    "enrol": (
        Kind.REQUEST,
        m.Enrol("ann", KEY, "owner"),
        b"",
        "550000005100000094000784a474797065a5656e726f6ca46e616d65a3616e6eaa7075626c69635f"
        "6b6579c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa4726f"
        "6c65a56f776e657290",
    ),
    "sign-up": (
        Kind.REQUEST,
        m.SignUp("ann@x.org", KEY, b"statement", KEY + KEY),
        b"",
        "ae000000aa00000094000785a474797065a77369676e2d7570a46e616d65a9616e6e40782e6f7267"
        "a570726f6f66c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "a973746174656d656e74c40973746174656d656e74a97369676e6174757265c44000010203040506"
        "0708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f000102030405060708090a0b0c0d0e"
        "0f101112131415161718191a1b1c1d1e1f90",
    ),
    "password-login": (
        Kind.REQUEST,
        m.PasswordLogin("ann@x.org", KEY, b"statement", KEY + KEY),
        b"",
        "b5000000b100000094000785a474797065ae70617373776f72642d6c6f67696ea46e616d65a9616e"
        "6e40782e6f7267a570726f6f66c420000102030405060708090a0b0c0d0e0f101112131415161718"
        "191a1b1c1d1e1fa973746174656d656e74c40973746174656d656e74a97369676e6174757265c440"
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0001020304050607"
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f90",
    ),
    "enrolled": (
        Kind.ANSWER,
        m.Enrolled("ann@x.org", OWN),
        b"",
        "430000003f00000094010783a474797065a8656e726f6c6c6564a76163636f756e74a9616e6e4078"
        "2e6f7267a7757365725f6964c41073657373696f6e70726566697800000090",
    ),
    "claim": (
        Kind.REQUEST,
        m.Claim(OWN, b"statement", KEY + KEY),
        b"",
        "8d0000008900000094000784a474797065a5636c61696da5746f6b656ec41073657373696f6e7072"
        "65666978000000a973746174656d656e74c40973746174656d656e74a97369676e6174757265c440"
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0001020304050607"
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f90",
    ),
    "remove-account": (
        Kind.REQUEST,
        m.RemoveAccount("ann"),
        b"",
        "260000002200000094000782a474797065ae72656d6f76652d6163636f756e74a46e616d65a3616e6e90",
    ),
    "account": (
        Kind.ANSWER,
        m.Account("ann", KEY, "scientist"),
        b"",
        "5b0000005700000094010784a474797065a76163636f756e74a46e616d65a3616e6eaa7075626c69"
        "635f6b6579c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa4"
        "726f6c65a9736369656e7469737490",
    ),
    "list-accounts": (
        Kind.REQUEST,
        m.ListAccounts(),
        b"",
        "1c0000001800000094000781a474797065ad6c6973742d6163636f756e747390",
    ),
    "accounts": (
        Kind.ANSWER,
        m.Accounts((m.Account("ann", KEY, "scientist"),)),
        b"",
        "740000007000000094010782a474797065a86163636f756e7473a86163636f756e74739184a47479"
        "7065a76163636f756e74a46e616d65a3616e6eaa7075626c69635f6b6579c4200001020304050607"
        "08090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa4726f6c65a9736369656e7469737490",
    ),
    "list-objects": (
        Kind.REQUEST,
        m.ListObjects(),
        b"",
        "1b0000001700000094000781a474797065ac6c6973742d6f626a6563747390",
    ),
    "holdings": (
        Kind.ANSWER,
        m.Holdings((m.Holding("ann", "12D3", 2, 48, ("heart",), 1, 1.5, None),), 1),
        b"",
        "900000008c00000094010783a474797065a8686f6c64696e6773a468656c649189a474797065a768"
        "6f6c64696e67a76163636f756e74a3616e6ea470656572a431324433a76f626a6563747302aa6865"
        "6c645f627974657330a8646174617365747391a56865617274a7736f757263657301a56167655f73"
        "cb3ff8000000000000a66c6566745f73c0a873657373696f6e730190",
    ),
    "publish": (
        Kind.REQUEST,
        m.Publish(
            *(OWN, "heart", "mmHg", ("#bp",), ("ann",), True),
            *((m.NewTensor("values", OWN, HEADER, False, "test", "bp"),), ("12D3KooW",)),
            parts=(m.NewPart("owners", OWN, HEADER, True, "dev"),),
            schema=BP,
            metadata={"collected": 2019},
            private=False,
            version=2,
        ),
        b"\0\0\x80?\0\0\0@",
        "d2010000c60100009400078ea474797065a77075626c697368aa646174617365745f6964c4107365"
        "7373696f6e707265666978000000a46e616d65a56865617274ab6465736372697074696f6ea46d6d"
        "4867a47461677391a3236270a7616c6c6f77656491a3616e6ea8616e6e6f756e6365c3a774656e73"
        "6f72739187a474797065aa6e65772d74656e736f72a46e616d65a676616c756573a96f626a656374"
        "5f6964c41073657373696f6e707265666978000000a668656164657293a7666c6f61743332920102"
        "00a875706c6f61646564c2a573706c6974a474657374a6636f6c756d6ea26270af616c6c6f776564"
        "5f646f6d61696e7391a8313244334b6f6f57a570617274739186a474797065a86e65772d70617274"
        "a46b696e64a66f776e657273a96f626a6563745f6964c41073657373696f6e707265666978000000"
        "a668656164657293a7666c6f6174333292010200a875706c6f61646564c3a573706c6974a3646576"
        "a6736368656d6192a262709192a676616c75657392a262709198a26270a7666c6f61743332cb0000"
        "000000000000cb4072c0000000000090a0a090a86d6574616461746181a9636f6c6c6563746564cd"
        "07e3a770726976617465c2a776657273696f6e0291080000803f00000040",
    ),
    "published": (
        Kind.ANSWER,
        m.Published(b"record"),
        b"",
        "270000002300000094010782a474797065a97075626c6973686564a67265636f7264c4067265636f726490",
    ),
    "ask-entity-secret": (
        Kind.REQUEST,
        m.AskEntitySecret(),
        b"",
        "200000001c00000094000781a474797065b161736b2d656e746974792d73656372657490",
    ),
    "entity-secret": (
        Kind.ANSWER,
        m.EntitySecret(KEY),
        b"",
        "450000004100000094010782a474797065ad656e746974792d736563726574a6736563726574c420"
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f90",
    ),
    "list-parts": (
        Kind.REQUEST,
        m.ListParts(OWN),
        b"",
        "360000003200000094000782a474797065aa6c6973742d7061727473aa646174617365745f6964c4"
        "1073657373696f6e70726566697800000090",
    ),
    "parts": (
        Kind.ANSWER,
        m.Parts((m.Part("owners", OWN, HEADER, "dev"),)),
        b"",
        "6c0000006800000094010782a474797065a57061727473a570617274739185a474797065a4706172"
        "74a46b696e64a66f776e657273a96f626a6563745f6964c41073657373696f6e7072656669780000"
        "00a668656164657293a7666c6f6174333292010200a573706c6974a364657690",
    ),
    "list-datasets": (
        Kind.REQUEST,
        m.ListDatasets(QUERY, 7),
        b"",
        "6e0000006a00000094000783a474797065ad6c6973742d6461746173657473a5717565727986a861"
        "6e79776865726591a56865617274a47461677390aa65786163745f7461677391a26270ab64657363"
        "72697074696f6e90a46e616d6590aa65786163745f6e616d6590a561667465720790",
    ),
    "search": (
        Kind.REQUEST,
        m.Search(QUERY, 7, 20),
        b"",
        "6e0000006a00000094000784a474797065a6736561726368a5717565727986a8616e797768657265"
        "91a56865617274a47461677390aa65786163745f7461677391a26270ab6465736372697074696f6e"
        "90a46e616d6590aa65786163745f6e616d6590a5616674657207a56c696d69741490",
    ),
    "found": (
        Kind.ANSWER,
        m.Found((b"record",), 7, Counts(1, 2, 3, 4, 5), (0,)),
        b"",
        "870000008300000094010785a474797065a5666f756e64a77265636f72647391c4067265636f7264"
        "a46e65787407a6636f756e747385b464697374726962757465645f646174617365747301a8646174"
        "617365747302a774656e736f727303af646174617365745f736368656d617304ae74656e736f725f"
        "736368656d617305a76f66666c696e65910090",
    ),
    "join": (
        Kind.REQUEST,
        m.Join(b"node", (b"record",), more=True),
        b"",
        "360000003200000094000784a474797065a46a6f696ea46e6f6465c4046e6f6465a8646174617365"
        "747391c4067265636f7264a46d6f7265c390",
    ),
    "describe": (
        Kind.REQUEST,
        m.Describe(),
        b"",
        "170000001300000094000781a474797065a8646573637269626590",
    ),
    "network-status": (
        Kind.ANSWER,
        m.NetworkStatus(datasets=3, models=0, domains=2, online=1),
        b"",
        "400000003c00000094010785a474797065ae6e6574776f726b2d737461747573a864617461736574"
        "7303a66d6f64656c7300a7646f6d61696e7302a66f6e6c696e650190",
    ),
    "operate": (
        Kind.REQUEST,
        Operate(
            (
                Op("add", OWN, (OWN, HEADER)),
                Op("mul", OWN, (OWN, -2)),
                Op("truediv", OWN, (1.5, OWN)),
                Op("sub", OWN, (True, OWN)),
                Op("sum", OWN, (OWN,), (None, True)),
                Op("getitem", OWN, (OWN,), (0, Slice(1, None, 2), "...", None, (3, 4), 0.5)),
            ),
            free=(OWN,),
        ),
        b"\0\0\x80?\0\0\0@",
        "860100007a01000094000783a474797065a76f706572617465a36f70739694a3616464c410736573"
        "73696f6e70726566697800000092c41073657373696f6e70726566697800000093a7666c6f617433"
        "32920102009094a36d756cc41073657373696f6e70726566697800000092c41073657373696f6e70"
        "7265666978000000fe9094a774727565646976c41073657373696f6e70726566697800000092cb3f"
        "f8000000000000c41073657373696f6e7072656669780000009094a3737562c41073657373696f6e"
        "70726566697800000092c3c41073657373696f6e7072656669780000009094a373756dc410736573"
        "73696f6e70726566697800000091c41073657373696f6e70726566697800000092c0c394a7676574"
        "6974656dc41073657373696f6e70726566697800000091c41073657373696f6e7072656669780000"
        "00960083a5737461727401a473746f70c0a47374657002a32e2e2ec0920304cb3fe0000000000000"
        "a46672656591c41073657373696f6e70726566697800000091080000803f00000040",
    ),
    "operated": (
        Kind.ANSWER,
        m.Operated((m.FailedOp(OWN, m.Failure(601, {"operation": "cos"})),), m.Spent(1, 200, 3)),
        b"",
        "840000008000000094010783a474797065a86f70657261746564a66661696c65649183a474797065"
        "a96661696c65642d6f70a36f7574c41073657373696f6e707265666978000000a76661696c757265"
        "83a474797065a76661696c757265a4636f6465cd0259a66669656c647381a96f7065726174696f6e"
        "a3636f73a57370656e749301ccc80390",
    ),
    "get": (
        Kind.REQUEST,
        m.Get(OWN, "ann"),
        b"",
        "3a0000003600000094000783a474797065a3676574a96f626a6563745f6964c41073657373696f6e"
        "707265666978000000a76163636f756e74a3616e6e90",
    ),
    "value": (
        Kind.ANSWER,
        m.Value(HEADER),
        b"\0\0\x80?\0\0\0@",
        "310000002500000094010782a474797065a576616c7565a668656164657293a7666c6f6174333292"
        "01020091080000803f00000040",
    ),
    "open-upload": (
        Kind.REQUEST,
        m.OpenUpload(OWN, "float32", (1, 2), b"capability"),
        b"",
        "640000006000000094000785a474797065ab6f70656e2d75706c6f6164a96f626a6563745f6964c4"
        "1073657373696f6e707265666978000000a56474797065a7666c6f61743332a57368617065920102"
        "aa6361706162696c697479c40a6361706162696c69747990",
    ),
    "open-download": (
        Kind.REQUEST,
        m.OpenDownload(OWN, OWN, "ann", 1 << 40),
        b"",
        "720000006e00000094000785a474797065ad6f70656e2d646f776e6c6f6164ab7472616e73666572"
        "5f6964c41073657373696f6e707265666978000000a96f626a6563745f6964c41073657373696f6e"
        "707265666978000000a76163636f756e74a3616e6ea66f6666736574cf000001000000000090",
    ),
    "opened": (
        Kind.ANSWER,
        m.Opened(1 << 41, 1 << 40, m.Ticket(4001, KEY, KEY)),
        b"",
        "990000009500000094010784a474797065a66f70656e6564a473697a65cf0000020000000000a66f"
        "6666736574cf0000010000000000a67469636b657483a4706f7274cd0fa1ab66696e676572707269"
        "6e74c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fa5746f6b"
        "656ec420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f90",
    ),
    "send-chunk": (
        Kind.REQUEST,
        m.SendChunk(OWN, 1 << 40, KEY[:8]),
        b"\0\0\x80?\0\0\0@",
        "610000005500000094000784a474797065aa73656e642d6368756e6bab7472616e736665725f6964"
        "c41073657373696f6e707265666978000000a66f6666736574cf0000010000000000a66469676573"
        "74c408000102030405060791080000803f00000040",
    ),
    "durable": (
        Kind.ANSWER,
        m.Durable(1 << 40),
        b"",
        "260000002200000094010782a474797065a764757261626c65a66f6666736574cf000001000000000090",
    ),
    "fetch-chunk": (
        Kind.REQUEST,
        m.FetchChunk(OWN, 1 << 40),
        b"",
        "480000004400000094000783a474797065ab66657463682d6368756e6bab7472616e736665725f69"
        "64c41073657373696f6e707265666978000000a66f6666736574cf000001000000000090",
    ),
    "chunk": (
        Kind.ANSWER,
        m.Chunk(1 << 40, KEY[:8]),
        b"\0\0\x80?\0\0\0@",
        "3e0000003200000094010783a474797065a56368756e6ba66f6666736574cf0000010000000000a6"
        "646967657374c408000102030405060791080000803f00000040",
    ),
    "close-transfer": (
        Kind.REQUEST,
        m.CloseTransfer(OWN),
        b"",
        "3b0000003700000094000782a474797065ae636c6f73652d7472616e73666572ab7472616e736665"
        "725f6964c41073657373696f6e70726566697800000090",
    ),
    "list-classes": (
        Kind.REQUEST,
        m.ListClasses(),
        b"",
        "1b0000001700000094000781a474797065ac6c6973742d636c617373657390",
    ),
    "classes": (
        Kind.ANSWER,
        m.Classes((COUNTER,)),
        b"",
        "610000005d00000094010782a474797065a7636c6173736573a7636c61737365739194a7436f756e"
        "7465729193a57374617274a3696e74c39195a4696e63729193a26279ab696e74207c20666c6f6174"
        "c2a3696e74a5416464732ec3a7436f756e74732e90",
    ),
    "invoke": (
        Kind.REQUEST,
        m.Invoke(
            (
                m.Make(OWN, "Counter", (10,), {}, m.ActorOptions(1.0, 0.5, 1 << 30, 3, "tally")),
                m.Call(OWN, OWN, "incr", (), {"by": 1}, timeout_s=2.5),
                m.Call(OWN, OWN, "take", EVERY_VALUE),
            ),
            free=(OWN,),
        ),
        b"\0\0\x80?\0\0\0@",
        "580100004c01000094000783a474797065a6696e766f6b65a563616c6c739396a46d616b65c41073"
        "657373696f6e707265666978000000a7436f756e746572910a8095cb3ff0000000000000cb3fe000"
        "0000000000ce4000000003a574616c6c7997a463616c6cc41073657373696f6e7072656669780000"
        "00c41073657373696f6e707265666978000000a4696e63729081a2627901cb400400000000000097"
        "a463616c6cc41073657373696f6e707265666978000000c41073657373696f6e7072656669780000"
        "00a474616b659cc0c3fecb3fe0000000000000a46d6d486792a172c41073657373696f6e70726566"
        "697800000092a16dc41073657373696f6e70726566697800000092a162c40372617792a16193a766"
        "6c6f617433329201020092a16c910192a1749192a16c9092a16481a36b6579c080c0a46672656591"
        "c41073657373696f6e70726566697800000091080000803f00000040",
    ),
    "invoked": (
        Kind.ANSWER,
        m.Invoked((m.FailedOp(OWN, m.Failure(602, {"object_id": "0a", "domain": "clinic"})),)),
        b"",
        "850000008100000094010782a474797065a7696e766f6b6564a66661696c65649183a474797065a9"
        "6661696c65642d6f70a36f7574c41073657373696f6e707265666978000000a76661696c75726583"
        "a474797065a76661696c757265a4636f6465cd025aa66669656c647382a96f626a6563745f6964a2"
        "3061a6646f6d61696ea6636c696e696390",
    ),
    "await-results": (
        Kind.REQUEST,
        m.AwaitResults((OWN,), 1, 2.5),
        b"",
        "5a0000005600000094000784a474797065ad61776169742d726573756c7473aa6f626a6563745f69"
        "647391c41073657373696f6e707265666978000000ab6e756d5f72657475726e7301a974696d656f"
        "75745f73cb400400000000000090",
    ),
    "ready": (
        Kind.ANSWER,
        m.Ready((OWN,)),
        b"",
        "320000002e00000094010782a474797065a57265616479aa6f626a6563745f69647391c410736573"
        "73696f6e70726566697800000090",
    ),
    "take-results": (
        Kind.REQUEST,
        m.TakeResults((OWN,), 2.5, "ann"),
        b"",
        "580000005400000094000784a474797065ac74616b652d726573756c7473aa6f626a6563745f6964"
        "7391c41073657373696f6e707265666978000000a974696d656f75745f73cb4004000000000000a7"
        "6163636f756e74a3616e6e90",
    ),
    "results": (
        Kind.ANSWER,
        m.Results(
            (
                m.Outcome(v.ArrayValue(HEADER)),
                m.Outcome(failure=m.Failure(613, {"call": "Counter.incr"})),
            )
        ),
        b"\0\0\x80?\0\0\0@",
        "6d0000006100000094010782a474797065a7726573756c7473a86f7574636f6d6573929292a16193"
        "a7666c6f6174333292010200c092c083a474797065a76661696c757265a4636f6465cd0265a66669"
        "656c647381a463616c6cac436f756e7465722e696e637291080000803f00000040",
    ),
    "cancel-call": (
        Kind.REQUEST,
        m.CancelCall(OWN, force=True),
        b"",
        "3d0000003900000094000783a474797065ab63616e63656c2d63616c6ca96f626a6563745f6964c4"
        "1073657373696f6e707265666978000000a5666f726365c390",
    ),
    "kill-actor": (
        Kind.REQUEST,
        m.KillActor(OWN),
        b"",
        "350000003100000094000782a474797065aa6b696c6c2d6163746f72a96f626a6563745f6964c410"
        "73657373696f6e70726566697800000090",
    ),
    "find-actor": (
        Kind.REQUEST,
        m.FindActor("tally"),
        b"",
        "240000002000000094000782a474797065aa66696e642d6163746f72a46e616d65a574616c6c7990",
    ),
    "actor-found": (
        Kind.ANSWER,
        m.ActorFound(OWN, COUNTER),
        b"",
        "7c0000007800000094010783a474797065ab6163746f722d666f756e64a96f626a6563745f6964c4"
        "1073657373696f6e707265666978000000a3636c7394a7436f756e7465729193a57374617274a369"
        "6e74c39195a4696e63729193a26279ab696e74207c20666c6f6174c2a3696e74a5416464732ec3a7"
        "436f756e74732e90",
    ),
    "move-object": (
        Kind.REQUEST,
        m.MoveObject(OWN, "12D3", ("/memory/12D3",), b"capability", OWN, "ann"),
        b"",
        "8f0000008b00000094000787a474797065ab6d6f76652d6f626a656374a96f626a6563745f6964c4"
        "1073657373696f6e707265666978000000a2746fa431324433a961646472657373657391ac2f6d65"
        "6d6f72792f31324433aa6361706162696c697479c40a6361706162696c697479a36f7574c4107365"
        "7373696f6e707265666978000000a76163636f756e74a3616e6e90",
    ),
    "deposit": (
        Kind.REQUEST,
        m.Deposit(OWN, v.ArrayValue(HEADER), b"capability", uploaded=True),
        b"",
        "630000005f00000094000785a474797065a76465706f736974a36f7574c41073657373696f6e7072"
        "65666978000000a576616c756592a16193a7666c6f6174333292010200aa6361706162696c697479"
        "c40a6361706162696c697479a875706c6f61646564c390",
    ),
    "abandon": (
        Kind.REQUEST,
        m.Abandon(OWN, m.Failure(602, {"object_id": "0a", "domain": "clinic"})),
        b"",
        "6d0000006900000094000783a474797065a76162616e646f6ea36f7574c41073657373696f6e7072"
        "65666978000000a76661696c75726583a474797065a76661696c757265a4636f6465cd025aa66669"
        "656c647382a96f626a6563745f6964a23061a6646f6d61696ea6636c696e696390",
    ),
    "reserve": (
        Kind.REQUEST,
        m.Reserve(),
        b"",
        "160000001200000094000781a474797065a77265736572766590",
    ),
    "reserved": (
        Kind.ANSWER,
        m.Reserved(("/ip4/192.0.2.7/tcp/4002",)),
        b"",
        "3a0000003600000094010782a474797065a87265736572766564a961646472657373657391b7"
        "2f6970342f3139322e302e322e372f7463702f3430303290",
    ),
    "incoming": (
        Kind.REQUEST,
        m.Incoming(b"t" * 32, "tls"),
        b"",
        "4c0000004800000094000783a474797065a8696e636f6d696e67a67469636b6574c420"
        "7474747474747474747474747474747474747474747474747474747474747474"
        "a773657276696365a3746c7390",
    ),
    "done": (
        Kind.ANSWER,
        m.Done(),
        b"",
        "130000000f00000094010781a474797065a4646f6e6590",
    ),
    "failure": (
        Kind.ANSWER,
        m.Failure(404, {"what": "x", "size": 3, "limit": 2.5}),
        b"",
        "420000003e00000094010783a474797065a76661696c757265a4636f6465cd0194a66669656c6473"
        "83a477686174a178a473697a6503a56c696d6974cb400400000000000090",
    ),
    "ping": (
        Kind.PING,
        None,
        b"",
        "0900000005000000940207c090",
    ),
}

EVERY_FRAME = [pytest.param(bytes.fromhex(case[3]), id=name) for name, case in GOLDEN.items()]


def whole(
    message: Message | None,
    *buffers: bytes,
    kind: Kind = Kind.REQUEST,
    request: int = 7,
    limit: int = LIMIT,
) -> bytes:
    return b"".join(encode(kind, request, message, buffers, limit=limit))


def body_of(header: bytes, *, claimed: int | None = None, rest: bytes = b"") -> bytes:
    """A frame without its size prefix, around any header."""
    return struct.pack("<I", len(header) if claimed is None else claimed) + header + rest


def packed(*fields: object) -> bytes:
    """A body whose header is this MessagePack array."""
    return body_of(msgspec.msgpack.encode(fields))


def is_refused(body: bytes) -> bool:
    """True when a body is refused, False when it is a frame; anything else is an error."""
    try:
        frame = decode(body)
    except RemoteProtocolError:
        return True
    assert isinstance(frame.envelope, Envelope)
    assert frame.envelope.message is None or isinstance(frame.envelope.message, TYPES)
    assert sum(map(len, frame.buffers)) == sum(frame.envelope.buffer_sizes)
    return False
