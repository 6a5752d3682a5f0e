"""Strings of generated Unicode, the same as test/support/unicode-strings.ts makes from the same seed."""

SPACES = [0x20, 0x20, 0x20, 0x20, 0x09, 0x0A, 0x0D, 0x0B, 0x0C, 0x85, 0xA0, 0x1680, 0x2003, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000, 0xFEFF, 0x200B]
WORDS = ["'s", "don't", "we'll", "[MASK]", "<mask>", "[SEP]", "</s>", "[UNK]", "3.14", "C++", "\r\n", "x_y", "İI", "ΣΊΣ", "ß", "ǅ", "ﬁ", "é", "e\u0301\u0323", "\u0323\u0301", "Å", "각", "\u1100\u1161\u11a8", "நி",
         "👨\u200d👩\u200d👧", "🇫🇷", "❤\ufe0f", "\u202eabc\u202c", "ﷺ", "½", "Ⅷ", "①", "ｶﾞ", "𝔘𝔫", "a\u0345\u0334"]
# Ranges of code points, each as likely as the others.
RANGES = [(0x21, 0x7E), (0x41, 0x5A), (0x61, 0x7A), (0x61, 0x7A), (0x30, 0x39), (0x00, 0x1F), (0x7F, 0xBF), (0xC0, 0x24F), (0x250, 0x2FF), (0x300, 0x36F), (0x370, 0x52F), (0x530, 0x5FF), (0x600, 0x8FF),
          (0x900, 0xDFF), (0xE00, 0x10FF), (0x1100, 0x11FF), (0x1200, 0x1AFF), (0x1AB0, 0x1CFF), (0x1D00, 0x1FFF), (0x2000, 0x206F), (0x2070, 0x2BFF), (0x2C00, 0x2FFF), (0x3000, 0x33FF), (0x3400, 0x9FFF),
          (0xA000, 0xABFF), (0xAC00, 0xD7FF), (0xD800, 0xDFFF), (0xE000, 0xF8FF), (0xF900, 0xFFFF), (0x10000, 0x10FFF), (0x11000, 0x11FFF), (0x12000, 0x16FFF), (0x17000, 0x1CFFF), (0x1D000, 0x1DFFF),
          (0x1E000, 0x1EFFF), (0x1F000, 0x1FFFF), (0x20000, 0x323AF), (0xE0000, 0xE01FF), (0x0, 0x10FFFF)]


def generator(seed):
    """mulberry32: 32 bits at a time."""
    state = seed & 0xFFFFFFFF

    def draw(below):
        nonlocal state
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = state
        t = ((t ^ (t >> 15)) * (t | 1)) & 0xFFFFFFFF
        t ^= (t + (((t ^ (t >> 7)) * (t | 61)) & 0xFFFFFFFF)) & 0xFFFFFFFF
        return ((t ^ (t >> 14)) & 0xFFFFFFFF) % below

    return draw


def strings(count, seed):
    """Half of a surrogate pair alone stands as U+FFFD here: Python's tokenizers takes no other."""
    draw = generator(seed)
    out = []
    for _ in range(count):
        parts = []
        for _ in range(1 + draw(8)):
            kind = draw(10)
            if kind == 0:
                parts.append(WORDS[draw(len(WORDS))])
            elif kind < 3:
                parts.append("".join(chr(SPACES[draw(len(SPACES))]) for _ in range(1 + draw(3))))
            else:
                low, high = RANGES[draw(len(RANGES))]
                points = [low + draw(high - low + 1) for _ in range(1 + draw(6))]
                parts.append("".join("\ufffd" if 0xD800 <= c < 0xE000 else chr(c) for c in points))
        out.append("".join(parts))
    return out
