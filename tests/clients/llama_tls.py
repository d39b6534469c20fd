"""The OpenAI SDK over https through the gateway to llama.cpp's own server, streamed.

    llama_tls.py GATEWAY_URL CA --direct DIRECT_URL

DIRECT_URL is llama/serve.py. Asserts: the text through TLS is the text that the server gives direct; the
tokens come while the server writes, not when it is done; a client that does not know the authority does
not speak at all.
"""

import argparse
import ssl

import httpx
import openai

import evidence

TOKENS = 400


def ask(client, stream):
    return client.chat.completions.create(
        model="tiny",
        messages=[{"role": "user", "content": "water gate river"}],
        max_tokens=TOKENS,
        temperature=0,
        stream=stream,
        extra_body={"ignore_eos": True, "cache_prompt": False},
    )


def read(client):
    """The text of a stream, and when each piece of it came."""
    words, arrivals = [], []
    for event in ask(client, True):
        if event.choices and event.choices[0].delta.content:
            words.append(event.choices[0].delta.content)
            arrivals.append(evidence.now())
    return "".join(words), arrivals


def sdk(url, **options):
    http = httpx.Client(**options)
    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=120, http_client=http)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("gateway")
    parser.add_argument("ca")
    parser.add_argument("--direct", required=True)
    asked = parser.parse_args()

    expected, _ = read(sdk(asked.direct))
    sealed = sdk(asked.gateway, verify=ssl.create_default_context(cafile=asked.ca))
    spread = []
    for turn in range(3):
        begun = evidence.now()
        text, arrivals = read(sealed)
        evidence.check(text == expected, f"turn {turn}: the text is another one through TLS")
        evidence.check(len(arrivals) > TOKENS // 2, f"turn {turn}: {len(arrivals)} events")
        spread.append((arrivals[-1] - arrivals[0]) / (arrivals[-1] - begun))
    # Who keeps a stream until it is whole gives all of it at the end. A busy machine may do that once.
    evidence.check(max(spread) > 0.7, f"the tokens have come in the last {spread} of the time")
    plain = ask(sealed, False).choices[0].message.content
    evidence.check(plain == expected, "the answer in one piece is another text")

    try:
        read(sdk(asked.gateway))
        evidence.check(False, "a client spoke to whom it does not know")
    except openai.APIConnectionError as error:
        evidence.check("CERTIFICATE" in repr(error.__cause__).upper(), f"{error.__cause__!r}")
    shown = ", ".join(f"{share:.2f}" for share in spread)
    print(f"llama.cpp behind TLS: {len(arrivals)} events, spread over {shown} of the time")


main()
