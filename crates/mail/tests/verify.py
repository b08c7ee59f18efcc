"""Reads messages as other people's software does: each must parse without a defect in Python's
strict e-mail policy, and all its DKIM signatures must verify in dkimpy.

Standard input holds the published records, one `name<TAB>text` a line, an empty line, and then
the messages, each with its length in decimal and a line end before it.
"""

import email
import email.policy
import sys

import dkim

STRICT = email.policy.default + email.policy.strict


def read():
    stream = sys.stdin.buffer
    records, messages = {}, []
    while line := stream.readline().rstrip(b"\n"):
        name, text = line.split(b"\t")
        records[name] = text
    while length := stream.readline():
        messages.append(stream.read(int(length)))
    return records, messages


def parse(raw):
    """Raises at the first defect of the structure; the headers name theirs."""
    message = email.message_from_bytes(raw, policy=STRICT)
    for part in message.walk():
        for name, value in part.items():
            assert not value.defects, f"{name}: {value.defects}"
        assert not part.defects, part.defects
        if not part.is_multipart():
            part.get_content()
    assert message["From"].addresses and message["To"].addresses, "no addresses"
    return message


def main():
    records, messages = read()
    algorithms = {}
    for number, raw in enumerate(messages):
        message = parse(raw)
        signatures = message.get_all("DKIM-Signature", [])
        for index, signature in enumerate(signatures):
            verifier = dkim.DKIM(raw)
            good = verifier.verify(index, dnsfunc=lambda name, timeout=5: records.get(name.rstrip(b".")))
            assert good, f"message {number}, signature {index}: {signature}"
            algorithm = str(signature).split("a=")[1].split(";")[0]
            algorithms[algorithm] = algorithms.get(algorithm, 0) + 1
        if number == 0:
            forged = raw.replace(b"\r\n\r\n", b"\r\n\r\nforged", 1)
            assert not dkim.verify(forged, dnsfunc=lambda name, timeout=5: records.get(name.rstrip(b".")))
    print(len(messages), *(f"{name}={count}" for name, count in sorted(algorithms.items())))


main()
