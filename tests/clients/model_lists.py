"""The SDKs of OpenAI, Anthropic and Ollama read the gateway's list of models.

    model_lists.py URL NAME NAME NAME...

Asserts that each of them lists exactly these names in this order, that pages of Anthropic's are
turned to the end in both directions, that one model is found by its name, a slash in it and all, and
that one that is not here is the SDK's own error for that.
"""

import sys

import anthropic
import ollama
import openai

import evidence
from evidence import check

LATEST = 4102444800


def openai_lists(url, names):
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=10)
    models = list(client.models.list())
    check([model.id for model in models] == names, f"openai: {models}")
    check(all(0 <= model.created < LATEST and model.owned_by for model in models), f"openai: {models}")
    for name in names:
        check(client.models.retrieve(name).id == name, f"openai: {name}")
    try:
        client.models.retrieve("no/such")
        evidence.fail("openai: there is no such model")
    except openai.NotFoundError as error:
        check(error.code == "model_not_found", f"openai: {error}")


def anthropic_lists(url, names):
    client = anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0, timeout=10)
    for limit in (1, 2, len(names), 1000):
        models = [model.id for model in client.models.list(limit=limit)]
        check(models == names, f"anthropic, {limit} on a page: {models}")
    check([model.id for model in client.models.list()] == names, "anthropic, without a limit")
    page = client.models.list(before_id=names[-1], limit=1)
    back = [model.id for model in page]
    check(back == names[-2::-1], f"anthropic, backwards: {back}")
    check(client.models.retrieve(names[0]).type == "model", "anthropic: one model")
    try:
        client.models.retrieve("no-such")
        evidence.fail("anthropic: there is no such model")
    except anthropic.NotFoundError as error:
        check(error.body["error"]["type"] == "not_found_error", f"anthropic: {error}")


def ollama_lists(url, names):
    models = ollama.Client(url, timeout=10).list().models
    check([model.model for model in models] == names, f"ollama: {models}")
    # `ollama list` shows so many digits of it.
    check(all(len(model.digest) >= 12 and model.modified_at for model in models), f"ollama: {models}")


def main():
    url, *names = sys.argv[1:]
    openai_lists(url, names)
    anthropic_lists(url, names)
    ollama_lists(url, names)
    evidence.done(models=len(names))


evidence.run(main, 60)
