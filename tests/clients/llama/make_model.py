"""Writes a tiny random-weight GGUF model that llama.cpp's server loads and generates text from.

    make_model.py OUTPUT.gguf

The model says nothing sensible and needs to say nothing sensible: it is there so that a real
inference server, with its real HTTP stack and its real habits, can be put behind the gateway.
It is the llama architecture at its smallest. Three properties matter and are made here:

* The same file every time: weights come from one fixed seed, so greedy text can be compared.
* Text that always decodes: the output rows of the byte, control and unknown tokens are zero, and
  a zero logit never wins a greedy choice against a few hundred random ones. What is chosen is
  always a whole word, some of them outside ASCII, so no token ends inside a UTF-8 character.
* It never ends by itself: the end-of-text token has such a zero row too. Lengths are chosen by
  the request (`max_tokens`, `n_predict`).
"""

import sys

import gguf
import numpy

SEED = 20_240_229
LAYERS = 2
WIDTH = 64
HEADS = 4
FEED_FORWARD = 128
CONTEXT = 16_384

NORMAL, UNKNOWN, CONTROL, BYTE = (
    gguf.TokenType.NORMAL,
    gguf.TokenType.UNKNOWN,
    gguf.TokenType.CONTROL,
    gguf.TokenType.BYTE,
)

# SentencePiece writes a leading space as U+2581.
SPACE = "\u2581"
WORDS = (
    "water gate river stream sluice token core turn edge read write buffer clock timer wheel pool "
    "lock weir dam mill pond canal bank reed stone bridge valley spring rain cloud delta harbour "
    "one two three four five six seven eight nine ten and or not then when while until of in on "
    "über café naïve façade Ελλάδα вода 水 河 門 🌊"
).split()
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:;!?-_'\"()/\n"


def vocabulary():
    """Tokens as (text, score, type), in the order of their numbers."""
    tokens = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    tokens += [(f"<0x{byte:02X}>", 0.0, BYTE) for byte in range(256)]
    # A higher score merges earlier. Words beat letters, so a prompt of known words is short.
    tokens += [(SPACE + word, -1.0 - rank, NORMAL) for rank, word in enumerate(WORDS)]
    tokens += [(SPACE, -900.0, NORMAL)]
    tokens += [(letter, -1000.0 - rank, NORMAL) for rank, letter in enumerate(LETTERS)]
    return tokens


def add_tokenizer(writer, tokens):
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([text.encode() for text, _, _ in tokens])
    writer.add_token_scores([score for _, score, _ in tokens])
    writer.add_token_types([int(kind) for _, _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(True)
    writer.add_add_eos_token(False)
    writer.add_chat_template(
        "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"
    )


def add_weights(writer, tokens):
    random = numpy.random.default_rng(SEED)

    def matrix(rows, columns, scale):
        return (random.standard_normal((rows, columns)) * scale).astype(numpy.float32)

    def ones():
        return numpy.ones(WIDTH, dtype=numpy.float32)

    output = matrix(len(tokens), WIDTH, 1.0)
    for number, (text, _, kind) in enumerate(tokens):
        if kind != NORMAL or not text.startswith(SPACE) or text == SPACE:
            output[number] = 0.0

    writer.add_tensor("token_embd.weight", matrix(len(tokens), WIDTH, 1.0))
    writer.add_tensor("output_norm.weight", ones())
    writer.add_tensor("output.weight", output)
    # Large enough that attention and position decide the next word, not the last word alone:
    # with small weights a greedy answer is one word for ever.
    scale = 2.0 / WIDTH**0.5
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        writer.add_tensor(block + "attn_norm.weight", ones())
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            writer.add_tensor(f"{block}{name}.weight", matrix(WIDTH, WIDTH, scale))
        writer.add_tensor(block + "ffn_norm.weight", ones())
        writer.add_tensor(block + "ffn_gate.weight", matrix(FEED_FORWARD, WIDTH, scale))
        writer.add_tensor(block + "ffn_up.weight", matrix(FEED_FORWARD, WIDTH, scale))
        writer.add_tensor(block + "ffn_down.weight", matrix(WIDTH, FEED_FORWARD, scale))


def main(path):
    tokens = vocabulary()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("sluicegate-test-tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    add_tokenizer(writer, tokens)
    add_weights(writer, tokens)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: make_model.py OUTPUT.gguf")
    main(sys.argv[1])
