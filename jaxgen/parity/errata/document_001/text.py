"""The text of a pretrained transformer."""

from jaxgen.errors import needs
from jaxgen.parity.errata.rows import STOPS, seen

torch = needs("torch", "verify")


class B1_11:
    """`AutoModelWithLMHead` is deprecated, 'your_model_name' is no model; `max_length=100` counts the prompt, the most
    likely token is always taken, and no attention mask is given.

    A model of our own with its `generate`: new tokens are counted, tokens are drawn, padding is masked."""

    lines, severity, until = "161-170", STOPS, "text"

    def failure(self):
        prompt, max_length = torch.zeros(120, dtype=torch.long), 100
        new = max(0, max_length - prompt.shape[0])
        text = self.generate(0, 100, lambda logits: logits.argmax())
        period = self.period(text)
        told = f"a prompt of 120 tokens leaves {new} new ones; the most likely of 50 repeat every {period} tokens"
        return seen(new == 0 and 0 < period < 20, told)

    def mended(self):
        draw = lambda logits: torch.multinomial(logits.softmax(0), 1)[0]
        text = self.generate(0, 100, draw)
        told = f"{len(text)} new tokens, drawn, {len(set(text))} kinds"
        return seen(len(text) == 100 and not self.period(text), told)

    def generate(self, token, max_new_tokens, choose):
        """Tokens of a random bigram model."""
        table, text = torch.randn(50, 50, generator=torch.Generator().manual_seed(0)), []
        for _ in range(max_new_tokens):
            token = int(choose(table[token]))
            text.append(token)
        return text

    def period(self, text):
        """After how many tokens the second half repeats itself; 0 if it does not."""
        half = text[len(text) // 2 :]
        return next((p for p in range(1, len(half) // 2) if half[p:] == half[:-p]), 0)
