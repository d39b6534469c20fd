"""LangChain's chat models of OpenAI, Anthropic and Ollama, translated and not.

    langchains.py AS_ANTHROPIC AS_OPENAI VERBATIM TOOLS_AS_ANTHROPIC TOOLS_AS_OPENAI STAND_IN AS_OLLAMA
                  --direct DIRECT_URL

The first three are gateways before llama.cpp's own server (DIRECT_URL), the next two before tool_server.py,
the last two before stand_in.py. Asserts: invoked, streamed and asked twice at once, a model says what
it says without a gateway; its chunks come one by one; calls of tools come whole from a stream, and a
second turn with their results is answered; structured output is what the schema says, held to it by
llama.cpp's own grammar; counts of tokens are told; what is refused is an error of the SDK below.
"""

import argparse

import anthropic
import openai
import pydantic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI

import evidence
from evidence import check
from stand_ins import TEXT, error_of, same

TOKENS = 60
ASKED = [SystemMessage("stone bridge"), HumanMessage("water gate river")]
CALLS = [("weather", {"city": "Köln"}), ("clock", {"zone": "Europe/Berlin"})]


@tool
def weather(city: str) -> str:
    """How the weather is in a city."""
    return f"<weather {city}>"


@tool
def clock(zone: str) -> str:
    """How late it is in a zone."""
    return f"<clock {zone}>"


class Gate(pydantic.BaseModel):
    """What is known of a gate."""

    name: str = pydantic.Field(json_schema_extra={"enum": ["weir", "lock"]})
    level: int = pydantic.Field(json_schema_extra={"enum": [1, 2]})
    open: bool


def openai_model(url, model="tiny", tokens=TOKENS, **more):
    return ChatOpenAI(
        base_url=f"{url}/v1", api_key="unused", model=model, max_tokens=tokens, temperature=0, max_retries=0, **more
    )


def anthropic_model(url, model="tiny", tokens=TOKENS, **more):
    return ChatAnthropic(
        base_url=url, api_key="unused", model=model, max_tokens=tokens, temperature=0, max_retries=0, **more
    )


def text_of(message):
    return message.text if isinstance(message.text, str) else message.text()


def check_text(name, model, there):
    """Invoked, streamed, and twice at once."""
    whole = model.invoke(ASKED)
    same(f"{name}, invoked", text_of(whole), there)
    counts = whole.usage_metadata
    check(counts["input_tokens"] > 0 and counts["output_tokens"] == TOKENS, f"{name}: {counts}")
    parts, total = [], None
    for chunk in model.stream(ASKED):
        total = chunk if total is None else total + chunk
        if text_of(chunk):
            parts.append(text_of(chunk))
    same(f"{name}, streamed", "".join(parts), there)
    check(len(parts) >= TOKENS / 2, f"{name}: {len(parts)} parts")
    same(f"{name}, counted", total.usage_metadata["output_tokens"], TOKENS)
    same(f"{name}, twice", [text_of(answer) for answer in model.batch([ASKED, ASKED])], [there, there])
    return len(parts)


def check_tools(name, model):
    """A loop until no more is called. Returns how many chunks of arguments came."""
    bound = model.bind_tools([weather, clock])
    messages, pieces = [HumanMessage("How is it in Cologne, and how late?")], 0
    for _ in range(3):
        answer = None
        for chunk in bound.stream(messages):
            answer = chunk if answer is None else answer + chunk
            pieces += len(chunk.tool_call_chunks)
        messages.append(answer)
        if not answer.tool_calls:
            break
        same(f"{name}, calls", [(call["name"], call["args"]) for call in answer.tool_calls], CALLS)
        messages += [{"weather": weather, "clock": clock}[call["name"]].invoke(call) for call in answer.tool_calls]
    check(all(isinstance(message, ToolMessage) for message in messages[2:4]), f"{name}: {messages}")
    same(f"{name}, told", text_of(messages[-1]), "<weather Köln><clock Europe/Berlin>")
    return pieces


def check_structured(name, model):
    gate = model.with_structured_output(Gate, method="json_schema").invoke("water gate")
    check(isinstance(gate, Gate) and gate.name in ("weir", "lock") and gate.level in (1, 2), f"{name}: {gate}")
    return gate.model_dump()


def check_ollama(stand_in, as_ollama):
    own = ChatOllama(base_url=stand_in, model="llama3.2", num_predict=40)
    through = openai_model(as_ollama, "llama3.2", tokens=40)
    for name, model in (("ollama", own), ("openai → ollama", through)):
        # What is built when it is first used is built before the pace is looked at.
        list(model.stream("hi"))
        arrivals, parts = [], []
        for chunk in model.stream("hi"):
            if text_of(chunk):
                parts.append(text_of(chunk))
                arrivals.append(evidence.now())
        same(name, "".join(parts), TEXT)
        evidence.check_paced(name, arrivals, 15)
        same(f"{name}, invoked", text_of(model.invoke("hi")), TEXT)
    for model in (ChatOllama(base_url=stand_in, model="tools"), openai_model(as_ollama, "tools")):
        answer = model.bind_tools([weather, clock]).invoke("hi")
        same("ollama, calls", [(call["name"], call["args"]) for call in answer.tool_calls], CALLS)


def check_errors(as_anthropic, as_openai):
    model = openai_model(as_anthropic, n=2)
    refused = error_of("openai, n", openai.BadRequestError, lambda: model.invoke("hi"))
    same("openai, n", refused.code, "untranslatable")
    model = anthropic_model(as_openai).bind_tools([{"type": "web_search_20250305", "name": "web_search"}])
    refused = error_of("anthropic, a tool of the server's", anthropic.BadRequestError, lambda: model.invoke("hi"))
    check("tools[0]" in str(refused), str(refused))


def main():
    parser = argparse.ArgumentParser()
    names = "as_anthropic as_openai verbatim tools_as_anthropic tools_as_openai stand_in as_ollama"
    for name in names.split():
        parser.add_argument(name)
    parser.add_argument("--direct", required=True)
    asked = parser.parse_args()
    there = text_of(openai_model(asked.direct).invoke(ASKED))
    check(len(there) > 50, there)
    texts = {
        "openai": check_text("openai", openai_model(asked.as_anthropic, stream_usage=True), there),
        "anthropic": check_text("anthropic", anthropic_model(asked.as_openai), there),
        "openai, verbatim": check_text("openai, verbatim", openai_model(asked.verbatim, stream_usage=True), there),
        "anthropic, verbatim": check_text("anthropic, verbatim", anthropic_model(asked.verbatim), there),
    }
    responses = openai_model(asked.as_openai, use_responses_api=True)
    texts["responses"] = check_text("responses", responses, there)
    calls = {
        "openai": check_tools("openai", openai_model(asked.tools_as_anthropic)),
        "anthropic": check_tools("anthropic", anthropic_model(asked.tools_as_openai)),
        "responses": check_tools("responses", openai_model(asked.tools_as_anthropic, use_responses_api=True)),
    }
    gates = {
        "openai, verbatim": check_structured("openai", openai_model(asked.verbatim, tokens=400)),
        "anthropic": check_structured("anthropic", anthropic_model(asked.as_openai, tokens=400)),
        "responses": check_structured("responses", openai_model(asked.as_openai, tokens=400, use_responses_api=True)),
    }
    check(len({str(gate) for gate in gates.values()}) == 1, f"three answers: {gates}")
    check_ollama(asked.stand_in, asked.as_ollama)
    check_errors(asked.as_anthropic, asked.as_openai)
    evidence.done(test="langchains", parts=texts, pieces=calls, gates=gates)


if __name__ == "__main__":
    evidence.run(main, 120)
