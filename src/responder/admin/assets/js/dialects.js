// What the playground knows of a dialect: how a conversation is asked, and what of an answer is its text.

export const DIALECTS = {
  openai: {
    label: "OpenAI chat",
    path: "/v1/chat/completions",
    ask: (model, messages, most) => ({
      model, messages, stream: true, stream_options: { include_usage: true }, ...(most ? { max_completion_tokens: most } : {}),
    }),
    // { text, thought, tokens, error } of one event, or of a document.
    read(event) {
      const choice = event.choices?.[0];
      const said = choice?.delta ?? choice?.message;
      return {
        text: said?.content, thought: said?.reasoning_content ?? said?.reasoning,
        tokens: event.usage?.completion_tokens, error: event.error,
      };
    },
  },
  anthropic: {
    label: "Anthropic messages",
    path: "/v1/messages",
    ask: (model, messages, most) => ({ model, messages, stream: true, max_tokens: most || 1024 }),
    read(event) {
      const document = event.type === "message" ? event.content?.map((part) => part.text ?? "").join("") : undefined;
      return {
        text: event.delta?.text ?? document, thought: event.delta?.thinking,
        tokens: event.type === "message_start" ? undefined : event.usage?.output_tokens, error: event.error,
      };
    },
  },
};

// Cuts an event stream, or takes a document, as its pieces come. `hear` gets the data of each event, and when
// the piece came that ended it.
export class Cutter {
  constructor(isStream, hear) {
    Object.assign(this, { isStream, hear, text: "" });
  }

  feed(text, at) {
    this.text += text;
    if (!this.isStream) return;
    const parts = this.text.split(/\r\n\r\n|\n\n|\r\r/);
    this.text = parts.pop();
    for (const part of parts) {
      const lines = part.split(/\r\n|\n|\r/).filter((line) => line.startsWith("data:"));
      if (lines.length) this.hear(lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n"), at);
    }
  }

  end(at) {
    if (this.text.trim()) this.hear(this.text, at);
    this.text = "";
  }
}
