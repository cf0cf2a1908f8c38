"""Every reader decodes each body like the reference decoder, or refuses it."""

# ruff: noqa: UP031  a JSON text has braces of its own

import pytest

from agora_analytics.decode import available, decode_metrics, decode_with
from agora_analytics.errors import DecodeError
from tests.decode.reference import WRONG, expected, rows


def series(kvs: str, mid: str = "20001", peer: str = ',"peer_uid":0') -> str:
    return f'{{"mid":{mid},"kvs":{kvs}{peer}}}'


def response(*data: str) -> str:
    return '{"code":200,"metrics":[{"sid":"A1","data":[%s]}]}' % ",".join(data)


def kvs(text: str) -> str:
    return response(series(text), series("[[1548670255,1],[1548670257,2]]", "20002"))


RIGHT = {
    "plain": kvs("[[1548670255,215],[1548670257,0]]"),
    "null": kvs("[[1548670255,null],[1548670257,0]]"),
    "float": kvs("[[1548670255,21.5],[1548670257,0.1]]"),
    "negative": kvs("[[1548670255,-5],[1548670257,-0.25]]"),
    "exponent": kvs("[[1548670255,1.5e3],[1548670257,2E-3],[1548670258,1e+2]]"),
    "minus zero": kvs("[[1548670255,-0],[1548670257,-0.0]]"),
    "large value": kvs("[[1548670255,1152921504606846977],[1548670257,9007199254740993]]"),
    "value over 64 bits": kvs("[[1548670255,18446744073709551616],[1548670257,123456789012345678901234567890]]"),
    "the placeholder": kvs("[[1548670255,9e299],[1548670257,null]]"),
    "the placeholder and an unknown null": response(
        '{"mid":1,"x":[null,null],"kvs":[[1548670255,9e299],[1548670257,null]],"peer_uid":0}'
    ),
    "the placeholder and a null in a string": response(
        '{"mid":1,"x":"a,null]","kvs":[[1548670255,9e299],[1548670257,null]],"peer_uid":0}'
    ),
    "null in a sid": '{"metrics":[{"sid":"a,null]","data":[%s]}]}' % series("[[1548670255,9e299],[1,null]]"),
    "null in a uid": response(series("[[1548670255,9e299],[1,null]]", peer=',"peer_uid":"a,null]"')),
    "ts float": kvs("[[1548670255.0,1],[1.548670257e9,2]]"),
    "numbers in strings": kvs('[["1548670255","215"],["1548670256.0","-1.5e3"]]'),
    "spaces": kvs("[ [ 1548670255 , 215 ] ,\n\t[1548670257,\r\n0]]"),
    "space in front of the value": kvs("[[1548670255, 215],[1548670257, 0]]"),
    "spaces everywhere": kvs("[[1548670255,215]]").replace(":", " : ").replace(",", "\n, ").replace("[", "[ "),
    "empty kvs": kvs("[]"),
    "spaced empty kvs": kvs("[ ]"),
    "null kvs": kvs("null"),
    "null data": '{"metrics":[{"sid":"A","data":null}]}',
    "null metrics": '{"metrics":null}',
    "empty data": '{"metrics":[{"sid":"A","data":[]},{"sid":"B","data":[]}]}',
    "empty metrics": '{"metrics":[]}',
    "uid string": response(series("[[1,2]]", peer=',"peer_uid":"3141592653"')),
    "uid number over 31 bits": response(series("[[1,2]]", peer=',"peer_uid":3141592653')),
    "uid over 64 bits": response(series("[[1,2]]", peer=',"peer_uid":18446744073709551617')),
    "uid negative": response(series("[[1,2]]", peer=',"peer_uid":-7')),
    "uid float": response(series("[[1,2]]", peer=',"peer_uid":7.0')),
    "uid null": response(series("[[1,2]]", peer=',"peer_uid":null')),
    "uid missing": response(series("[[1,2]]", peer="")),
    "uid name": response(series("[[1,2]]", peer=',"peer_uid":"an[na"')),
    "mid string": response(series("[[1,2]]", mid='"20001"')),
    "mid float": response(series("[[1,2]]", mid="20001.0")),
    "unknown keys": response('{"x":1,"mid":20001,"unit":"ms","kvs":[[1548670255,2]],"peer_uid":0,"y":null,"z":true}'),
    "unknown lists": response('{"x":[1548670255,2],"mid":20001,"kvs":[[1548670255,2]],"peer_uid":0,"y":{"a":[[3,4]]}}'),
    "unknown list of text": response('{"mid":20001,"kvs":[[1548670255,2]],"peer_uid":0,"y":["[\\u005b",{"\\"":[]}]}'),
    "unknown key with a bracket": response('{"mid":20001,"kvs":[[1548670255,2]],"peer_uid":0,"[1234567890,1":2}'),
    "unknown keys of a session": '{"metrics":[{"a":[],"sid":"A","data":[],"b":"["}],"x":[[]],"message":"[1,2]"}',
    "other order": '{"metrics":[{"data":[{"peer_uid":0,"kvs":[[1548670255,2]],"mid":5}],"sid":"A"}],"code":200}',
    "session twice": '{"metrics":[{"sid":"A","data":[%s]},{"sid":"B","data":[]},{"sid":"A","data":[%s]}]}'
    % (series("[[1,2]]"), series("[[3,4]]")),
    "unicode sid": '{"metrics":[{"sid":"\u00fc\U0001f600\\u00e9\\ud83d\\ude00\\n\\"[","data":[%s]}]}' % series("[[1,2]]"),
    "escaped key": '{"metrics":[{"\\u0073id":"A","data":[{"mid":1,"\\u006bvs":[[1548670255,2]],"peer_uid":0}]}]}',
    "key twice": response('{"mid":1,"kvs":[[1548670255,2]],"kvs":[[1548670256,3],[4,5]],"mid":2,"peer_uid":0,"peer_uid":9}'),
    "sid twice": '{"metrics":[{"sid":"A","sid":"B","data":[]}]}',
    "metrics twice": '{"metrics":[{"sid":"A","data":[]}],"metrics":[{"sid":"B","data":[]}]}',
    "half a surrogate elsewhere": '{"message":"\\ud800","metrics":[{"sid":"A","data":[]}]}',
    "number out of range elsewhere": '{"x":1e999,"metrics":[{"sid":"A","data":[]}]}',
    "byte order mark": "\ufeff" + kvs("[]"),
    "point with a comma at byte eleven": kvs("[[1e9,-123456],[15e8,2.5e-2]]"),
    "error body": '{"code":300,"message":"Service package limit check error, qps limit error"}',
    "gateway error": '{"message":"Invalid authentication credentials"}',
    "data missing": '{"metrics":[{"sid":"A"}]}',
    "sid number": '{"metrics":[{"sid":5,"data":[]}]}',
    "sid half a surrogate": '{"metrics":[{"sid":"\\ud800","data":[]}]}',
    "kvs missing": response('{"mid":1,"peer_uid":0}'),
    "uid half a surrogate": response(series("[]", peer=',"peer_uid":"\\udc00"')),
    "value NaN": kvs("[[1548670255,NaN]]"),
    "value NaN in a string": kvs('[[1548670255,"NaN"]]'),
    "value infinite": kvs("[[1548670255,-Infinity]]"),
    "value out of range": kvs("[[1548670255,1e999]]"),
    "control character": '{"metrics":[{"sid":"A\x01","data":[]}]}',
    "metrics in an object": '{"x":{"metrics":[{"sid":"A","data":[]}]}}',
}  # fmt: skip

PARTLY = {
    "ts in ms": kvs("[[1548670255000,1],[1548670257000,2]]"),
    "ts negative": kvs("[[-5,1],[0,2]]"),
    "ts large": kvs("[[9007199254740993,1],[9223372036854775807,2],[-9223372036854775808,3]]"),
    "session not an object": '{"metrics":[5]}',
    "session a string": '{"metrics":["sid"]}',
    "data object": '{"metrics":[{"sid":"A","data":{}}]}',
    "sid missing": '{"metrics":[{"data":[]}]}',
    "series a list": response("[]"),
    "mid missing": response('{"kvs":[],"peer_uid":0}'),
    "mid null": response(series("[]", mid="null")),
    "mid over 31 bits": response(series("[]", mid="2147483648")),
    "mid true": response(series("[]", mid="true")),
    "kvs object": kvs("{}"),
    "kvs string": kvs('"[[1,2]]"'),
    "uid true": response(series("[]", peer=',"peer_uid":true')),
    "uid half": response(series("[]", peer=',"peer_uid":0.5')),
    "uid list": response(series("[]", peer=',"peer_uid":[]')),
    "three": kvs("[[1548670255,215,1]]"),
    "one": kvs("[[1548670255]]"),
    "no pair": kvs("[1548670255,215]"),
    "empty pair": kvs("[[],[]]"),
    "three and one": kvs("[[1548670255,215,1548670257],[1548670258]]"),
    "three and one that looks like a value": kvs("[[1548670255,215,1548670257],[5]]"),
    "one and three": kvs("[[1548670255],[215,1548670257,3]]"),
    "four and none": kvs("[[1548670255,215,1548670257,1],[]]"),
    "nested value": kvs("[[1548670255,[215]],[1548670257,1]]"),
    "nested point": kvs("[[1548670255,[1548670256,1]],5]"),
    "nested point after a space": kvs("[[1548670255, [1548670256,1]],5]"),
    "nested first": kvs("[[[1548670255,1],1548670256],5]"),
    "points without brackets": kvs("[1548670255,1,[1548670256,2],[[1548670257,3],[1548670258,4]]]"),
    "two errors that cancel out": response(
        series("[1548670255,[1548670256,1548670257,3]]"), series("[[1548670255,1],[1548670256,[2]]]")
    ),
    "an unknown list that cancels an error": response(
        '{"mid":1,"x":["1234567X",1],"kvs":[[1548670255,2,1548670256],[3]],"peer_uid":0}'
    ),
    "an unknown list of numbers that cancels an error": response(
        '{"mid":1,"x":[1548670255,1],"kvs":[[1548670255,2,1548670256],[3]],"peer_uid":0}'
    ),
    "half a second": kvs("[[1548670255.5,1]]"),
    "ts null": kvs("[[null,1]]"),
    "ts true": kvs("[[true,1]]"),
    "ts over 63 bits": kvs("[[9223372036854775808,1]]"),
    "ts enormous": kvs("[[1e300,1]]"),
    "value true": kvs("[[1548670255,true]]"),
    "value object": kvs("[[1548670255,{}]]"),
    "value a word": kvs('[[1548670255,"none"]]'),
    "value a quoted null": kvs('[[1548670255,"null"]]'),
    "value of many digits": kvs("[[1548670255,1%s]]" % ("0" * 400)),
    "value of too many digits": kvs("[[1548670255,1%s]]" % ("0" * 5000)),
    "string of too many digits": kvs('[["1%s",1]]' % ("0" * 5000)),
    "string with an underscore": kvs('[[1548670255,"1_0"]]'),
    "metrics under another key": '{"metrics":[0],"y":[{"sid":"A","data":[]}]}',
}  # fmt: skip

REFUSED = {
    "nothing": "",
    "HTML": "<html><body>502 Bad Gateway</body></html>",
    "truncated": kvs("[[1548670255,215],[1548670257,0]]")[:-9],
    "truncated in the points": kvs("[[1548670255,215],[1548670257,0]]")[:60],
    "trailing text": kvs("[[1548670255,215]]") + "x",
    "list": "[]",
    "string": '"metrics"',
    "number": "1",
    "null": "null",
    "metrics object": '{"metrics":{}}',
    "value with a leading zero": kvs("[[1548670255,01]]"),
    "value with a plus": kvs("[[1548670255,+1]]"),
    "value without digits": kvs("[[1548670255,1.]]"),
    "trailing comma": kvs("[[1548670255,1],]"),
    "two byte order marks": "\ufeff\ufeff" + kvs("[]"),
    "list of sessions": '[{"sid":"A","data":[]}]',
    "too deep": '{"metrics":%s%s}' % ("[" * 100_000, "]" * 100_000),
}  # fmt: skip

NOT_UTF8 = {
    "sid": b'{"metrics":[{"sid":"\xff\xe4\xbc","data":[]}]}',
    "sid with raw surrogates": b'{"metrics":[{"sid":"a\xed\xa0\xbd","data":[]}]}',
    "unknown key": b'{"metrics":[],"\xff":1}',
    "unknown value": b'{"metrics":[],"x":"\xc3"}',
}

SIZES = ["as it is", "large"]
FILLER = ",".join(
    '{"sid":"FILLER %d","data":[%s]}' % (i, series("[[1548670001,1],[1548670002,22]]", "20003"))
    for i in range(5)
)


@pytest.fixture
def body_of(monkeypatch):
    """Return a function from text to body. For size "large", the limits for pieces and CSV are lowered."""

    def body_of(text: str, size: str) -> bytes:
        if size == "large":
            for module, limit in [
                ("chunks", "PIECE"),
                ("arrow_reader", "SMALL_BODY"),
                ("arrow_reader", "BATCH"),
            ]:
                if module == "chunks" or "arrow" in available():
                    monkeypatch.setattr(f"agora_analytics.decode.{module}.{limit}", 50)
            start, bracket, rest = text.partition('"metrics":[')
            if bracket:
                text = start + bracket + FILLER + ("" if rest.lstrip().startswith("]") else ",") + rest
        return text.encode("utf-8", "surrogatepass")

    return body_of


def decoded(reader, body):
    columns = decode_with(reader, body)
    return list(columns.sids), rows(columns), [each.path for each in columns.skipped]


@pytest.mark.parametrize("reader", available())
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", RIGHT)
def test_valid_body_is_decoded(body_of, reader, size, name):
    body = body_of(RIGHT[name], size)
    reference = expected(body)
    assert reference != WRONG
    assert reference[2] == []
    assert decoded(reader, body) == reference


@pytest.mark.parametrize("reader", available())
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PARTLY)
def test_what_can_be_read_is_decoded_and_the_rest_is_named(body_of, reader, size, name):
    body = body_of(PARTLY[name], size)
    reference = expected(body)
    assert reference != WRONG
    assert reference[2] != []
    assert decoded(reader, body) == reference


@pytest.mark.parametrize("reader", available())
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", REFUSED)
def test_invalid_body_is_refused(body_of, reader, size, name):
    body = body_of(REFUSED[name], size)
    assert expected(body) == WRONG
    with pytest.raises(DecodeError):
        decode_with(reader, body)


@pytest.mark.parametrize("reader", available())
@pytest.mark.parametrize("name", NOT_UTF8)
def test_invalid_utf8_becomes_the_replacement_character(reader, name):
    assert decoded(reader, NOT_UTF8[name]) == expected(NOT_UTF8[name])
    assert decoded(reader, NOT_UTF8["sid"])[0] == ["\ufffd\ufffd"]
    assert decoded(reader, NOT_UTF8["sid with raw surrogates"])[0] == ["a\ufffd"]


@pytest.mark.parametrize("reader", available())
def test_utf16_is_refused(reader):
    with pytest.raises(DecodeError):
        decode_with(reader, '{"metrics":[]}'.encode("utf-16"))


@pytest.mark.parametrize(
    ("name", "path", "reason"),
    [
        ("session a string", "$.metrics[0]", "expected an object, found str"),
        ("sid missing", "$.metrics[0]", "sid is missing"),
        ("data object", "$.metrics[0].data", "expected a list, found dict"),
        ("mid over 31 bits", "$.metrics[0].data[0]", "mid: 2147483648 is not an integer of 32 bits"),
        ("uid half", "$.metrics[0].data[0]", "peer_uid: 0.5 is not an id"),
        ("kvs object", "$.metrics[0].data[0].kvs", "expected a list, found dict"),
        ("three", "$.metrics[0].data[0].kvs[0]", "1 of 1 points cannot be read; the first one is [1548670255, 215, 1]"),
        ("value a word", "$.metrics[0].data[0].kvs[0]", "1 of 1 points cannot be read; the first one is [1548670255, 'none']"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named(name, path, reason):
    skipped = decode_metrics(PARTLY[name].encode()).skipped
    assert [(each.path, each.reason) for each in skipped] == [(path, reason)]


@pytest.mark.parametrize("sid", ["", "S" * 1025])
@pytest.mark.parametrize("reader", available())
def test_session_id_has_bounds(reader, sid):
    other = '{"sid":"B","data":[%s]}' % series("[[1548670255,1]]")
    body = '{"metrics":[{"sid":"%s","data":[%s]},%s]}' % (sid, series("[[1548670255,1]]"), other)
    columns = decode_with(reader, body.encode())
    assert (columns.sids, [each.path for each in columns.skipped]) == (("B",), ["$.metrics[0]"])


def test_error_for_a_long_body_is_short():
    with pytest.raises(DecodeError) as caught:
        decode_metrics(b'{"metrics": ' + b"x" * 100_000)
    assert len(str(caught.value)) < 300
