"""puzzles.py: Tasks with one right answer: sums, differences, reversing and sorting words, days, months and numbers
in sequence."""

from lexicon import DAYS, MONTHS, NUMBER_WORDS, choose, held_out, made_up_word, plain_words
from sample import Exchange, framed, pick

PLACES = ("Ones", "Tens", "Hundreds", "Thousands")

NUMBER_FRAMES = ("What is {}?", "{} = ?", "Calculate {}.", "How much is {}?", "Compute {}.", "Please compute {}.",
                 "Please calculate {}.",
                 "Can you compute {}?", "Can you calculate {}?", "Tell me {}.", "Tell me what {} is.",
                 "Can you tell me what {} is?",
                 "Please tell me what {} is.", "I want to know what {} is.", "What do you get for {}?", "Find {}.",
                 "Work out {}.",
                 "Could you work out {}?", "{}, please.", "I need {}.", "Hi, what is {}?", "Do you know what {} is?")
ACTION_FRAMES = ("{}.", "Please {}.", "Can you {}?", "Could you {}?", "Would you {}?", "I want you to {}.",
                 "Can you please {}?",
                 "I would like you to {}.", "Hi, please {}.", "Now {}.")
SUM_ASKED = (framed(NUMBER_FRAMES, "{} + {}", "{}+{}", "{} plus {}", "the sum of {} and {}")
             + framed(ACTION_FRAMES, "add {} and {}", "add {} to {}", "sum {} and {}") + ("Add {} and {}.",
                                                                                          "Add {} to {}."))
DIFFERENCE_ASKED = (framed(NUMBER_FRAMES, "{} - {}", "{}-{}", "{} minus {}", "{} less {}")
                    + framed(ACTION_FRAMES, "subtract {1} from {0}", "take {1} away from {0}", "take {1} from {0}")
                    + ("Subtract {1} from {0}.", "Take {1} away from {0}."))
REVERSE_ASKED = (framed(ACTION_FRAMES, "reverse {}", "reverse the word {}", "write {} backwards",
                        "write the word {} backwards",
                        "spell {} backwards", "turn the word {} around", "give me {} in reverse", "say {} backwards")
                 + ("Reverse the word {}.", "Reverse {}.", "Write {} backwards.", "Spell {} backwards.",
                    "What is {} backwards?",
                    "What is {} in reverse?", "What is the word {} backwards?", "How do you write {} backwards?",
                    "How do you spell {} backwards?", "How is {} written backwards?", "Turn the word {} around.",
                    "What does {} read backwards?", "How does {} read backwards?", "What does {} look like in reverse?",
                    "How does the word {} look backwards?", "What do you get if you reverse {}?",
                    "If you reverse {}, what do you get?",
                    "What is {} when read backwards?", "What is {} spelled backwards?", "I want to see {} backwards.",
                    "{} backwards",
                    "{} backwards, please.", "What does the word {} become in reverse?"))
SORT_ASKED = (framed(ACTION_FRAMES[1:], "sort these words: {}", "sort these words alphabetically: {}",
                     "sort alphabetically: {}",
                     "put these words in alphabetical order: {}", "put these words in order: {}", "sort the words {}",
                     "sort the following words: {}", "order these words from A to Z: {}", "sort {}",
                     "put the following words in order: {}")
              + ("Sort these words: {}.", "Sort these words alphabetically: {}.", "Sort alphabetically: {}.",
                 "Sort {}.",
                 "Put these words in alphabetical order: {}.", "Sort the words {}.", "Sort the following words: {}.",
                 "Order these words from A to Z: {}.", "What is the alphabetical order of these words: {}?"))


STEPS_ASKED = framed(("Tell me {}.", "Please tell me {}.", "Name {}.", "What is {}?", "Can you tell me {}?",
                      "Do you know {}?", "Find {}."),
                     "the {unit} {steps}{word} {start}", "the {unit} that comes {steps}{word} {start}") + (
    "What {unit} comes {steps}{word} {start}?", "Which {unit} is {steps}{word} {start}?",
    "Which {unit} comes {steps}{word} {start}?",
    "What {unit} is it {steps}{word} {start}?", "What {unit} is {steps}{word} {start}?",
    "Which {unit} is it {steps}{word} {start}?",
    "What comes {steps}{word} {start}?", "{unit} {steps}{word} {start}")
NEXT_ASKED = framed(("{}?", "Hi, {}?", "Tell me {}.", "Can you tell me {}?", "Please tell me {}.", "Do you know {}?",
                     "Please, {}?"),
                    "what comes next: {given}", "what is next: {given}", "what comes after {given}",
                    "what comes next after {given}",
                    "what follows {given}", "which one comes next: {given}") + (
    "What comes next: {given}?", "What is next: {given}?", "What comes after {given}?", "What follows {given}?")
CONTINUE_ASKED = framed(ACTION_FRAMES[1:], "continue: {given}", "continue {given}", "continue the sequence: {given}",
                        "continue the sequence {given}", "go on: {given}") + (
    "Continue: {given}.", "Continue the sequence: {given}.", "Continue {given}.", "Go on: {given}.",
    "How does it go on: {given}?")
COUNT_ASKED = framed(ACTION_FRAMES[1:], "count from {first} to {last}", "list the numbers from {first} to {last}",
                     "count the numbers from {first} to {last}",
                     "give me the numbers from {first} to {last}") + ("Count from {first} to {last}.",
                                                                      "List the numbers from {first} to {last}.")


def random_number(rng):
    return rng.randrange(10 ** rng.choice((1, 1, 2, 2, 3, 3, 3)))


def number_pair(rng, operator, new):
    """Two numbers of at most three digits; a tenth of all pairs is held out."""
    while True:
        a, b = random_number(rng), random_number(rng)
        if operator == "-" and a < b and rng.random() < 0.8:
            a, b = b, a
        if held_out(f"{a}{operator}{b}", one_in=10) == new:
            return a, b


def column_steps(a, b, operator):
    """Column by column from the right: (expression, worked sentence, digit)."""
    steps, carry = [], 0
    for place in range(max(len(str(a)), len(str(b)))):
        x, y = a // 10 ** place % 10, b // 10 ** place % 10
        value = x + y + carry if operator == "+" else x - y - carry
        expression = f"{x} {operator} {y}" + (f" {operator} 1" if carry else "")
        digit = value % 10
        if operator == "+":
            worked = f"{expression} = {value}, write {digit}"
        elif value < 0:
            worked = f"{expression} is below zero, borrow: {expression} + 10 = {digit}, write {digit}"
        else:
            worked = f"{expression} = {value}, write {digit}"
        carry = int(value != digit)
        steps.append((f"{expression} = {value if operator == '+' else digit}", worked
                      + (", carry 1" if carry and operator == "+" else ""),
                      digit))
    if carry:
        steps.append(("1", "1 is left, write 1", 1))
    return steps


def arithmetic(rng, new, effort, operator):
    a, b = number_pair(rng, operator, new)
    result = a + b if operator == "+" else a - b
    negative = result < 0
    steps = column_steps(*((b, a) if negative else (a, b)), operator)
    digits = " ".join(str(digit) for _, _, digit in steps)
    minus = f"{a} is less than {b}: minus. " if negative else ""
    analysis = {
        "low": f"{minus}{digits}",
        "medium": f"{minus}From the right: " + ", ".join(short for short, _, _ in steps) + ".",
        "high": (f"{a} is less than {b}, so the answer is below zero: minus ({b} - {a}).\n" if negative else "")
                + "Column by column, from the right.\n"
                + "\n".join(f"{PLACES[i]}: {worked}." for i, (_, worked, _) in enumerate(steps))
                + f"\nDigits from the right: {digits}. So the answer is {result}.",
    }[effort]
    final = f"{a} {operator} {b} = {result}"
    kind, phrasings = ("sum", SUM_ASKED) if operator == "+" else ("difference", DIFFERENCE_ASKED)
    return Exchange(kind, pick(rng, phrasings, new).format(a, b), analysis, final, lambda text: text == final)


def addition(rng, new, effort):
    return arithmetic(rng, new, effort, "+")


def subtraction(rng, new, effort):
    return arithmetic(rng, new, effort, "-")


def quoted(rng, word):
    return rng.choice(("{}", "{}", '"{}"', "'{}'")).format(word)


def reverse(rng, new, effort):
    word = choose(rng, plain_words(), new)
    if not new and rng.random() < 0.6:
        word = made_up_word(rng)
    letters, backwards = list(word), list(reversed(word))
    analysis = {
        "low": " ".join(backwards),
        "medium": f"{word}: {' '.join(letters)}. Backwards: {' '.join(backwards)}.",
        "high": f"Spell it: {', '.join(f'{i} {c}' for i, c in enumerate(letters, 1))}.\nFrom the last letter: "
                + ", ".join(f"{len(word) - i} {c}" for i, c in enumerate(backwards))
                + f".\nTogether: {' '.join(backwards)}.",
    }[effort]
    final = word[::-1]
    return Exchange("reverse", pick(rng, REVERSE_ASKED, new).format(quoted(rng, word)), analysis, final,
                    lambda text: text == final)


def words_to_sort(rng, new):
    """Three to five words, no two with the same first three letters; in evaluation at least one held-out word."""
    words = []
    n = rng.randint(3, 5)
    while len(words) < n:
        word = choose(rng, plain_words(), new and (not words or rng.random() < 0.5))
        if not new and rng.random() < 0.35:
            word = made_up_word(rng)
        if words and rng.random() < (0.2 if new else 0.4):  # the second letter must decide from time to time
            same = [w for w in plain_words() if w[0] == words[0][0] and held_out(w) == new]
            word = rng.choice(same or [word])
        if all(word[:3] != other[:3] for other in words):
            words.append(word)
    rng.shuffle(words)
    return words


def sort_words(rng, new, effort):
    words = words_to_sort(rng, new)
    ordered = sorted(words)
    heads = ", ".join(word[:3] for word in ordered)
    pairs = ", ".join(f"{word[:3]} {word}" for word in words)
    analysis = {
        "low": f"{heads}",
        "medium": f"First letters: {pairs}. In order: {heads}.",
        "high": "First three letters of each word:\n" + "\n".join(f"- {word}: {' '.join(word[:3])}" for word in words)
                + "\nFrom A to Z:\n" + "\n".join(f"{i}. {word[:3]}, {word}" for i, word in enumerate(ordered, 1)),
    }[effort]
    final = f"Sorted: {', '.join(ordered)}"
    listed = rng.choice((", ", ", ", " ")).join(words)
    return Exchange("sort", pick(rng, SORT_ASKED, new).format(listed), analysis, final,
                    lambda text: text == final)


# Sequences. Each maker gives phrasings, what stands in them, the steps and the answer.

def cycle_after(rng, names, unit):
    """The day or month some steps after or before one."""
    start, n, back = rng.choice(names), rng.choice((1, rng.randint(1, len(names) - 1))), rng.random() < 0.5
    at = names.index(start)
    path = [names[(at + (-i if back else i)) % len(names)] for i in range(1, n + 1)]
    word, count = "before" if back else "after", rng.choice((NUMBER_WORDS[n], str(n)))
    steps = "" if n == 1 else f"{count} {unit}s "
    return STEPS_ASKED, {"unit": unit, "steps": steps, "word": word, "start": start}, path, path[-1]


def cycle_next(rng, names, unit):
    """What follows some days or months."""
    at, shown, n = rng.randrange(len(names)), rng.randint(2, 4), rng.choice((1, 3))
    given = ", ".join(names[(at + i) % len(names)] for i in range(shown))
    path = [names[(at + shown + i) % len(names)] for i in range(n)]
    return NEXT_ASKED if n == 1 else CONTINUE_ASKED, {"given": given}, path, ", ".join(path)


def numbers_next(rng):
    """What follows some evenly spaced numbers."""
    step, shown, n = rng.choice((1, 1, 2, 2, 3, 4, 5, 10, -1, -2, -5)), rng.randint(3, 4), rng.choice((1, 3))
    start = rng.randint(0, 90) + (0 if step > 0 else -step * (shown + n))
    numbers = [str(start + step * i) for i in range(shown + n)]
    return (NEXT_ASKED if n == 1 else CONTINUE_ASKED, {"given": ", ".join(numbers[:shown])}, numbers[shown:],
            ", ".join(numbers[shown:]))


def counting(rng):
    """Counting up or down between two numbers."""
    low, n = rng.randint(0, 90), rng.randint(3, 10)
    numbers = [str(low + i) for i in range(n)]
    if rng.random() < 0.4:
        numbers.reverse()
    first, last = numbers[0], numbers[-1]
    return COUNT_ASKED, {"first": first, "last": last}, numbers, ", ".join(numbers)


def sequence(rng, new, effort):
    makers = (lambda: cycle_after(rng, DAYS, "day"), lambda: cycle_after(rng, MONTHS, "month"),
              lambda: cycle_next(rng, DAYS, "day"), lambda: cycle_next(rng, MONTHS, "month"),
              lambda: numbers_next(rng), lambda: numbers_next(rng), lambda: counting(rng))
    while True:
        asked, values, path, answer = rng.choice(makers)()
        if held_out((sorted(values.items()), answer)) == new:
            break
    analysis = {
        "low": "One by one.",
        "medium": "One by one: " + ", ".join(path) + ".",
        "high": "I go one by one.\n" + "\n".join(f"{i}. {item}" for i, item in enumerate(path, 1))
        + f"\nThe answer: {answer}.",
    }[effort]
    if effort == "low" and len(path) > 1 and answer == path[-1]:
        analysis = ", ".join(path)
    final = answer + "."
    return Exchange("sequence", pick(rng, asked, new).format(**values), analysis, final, lambda text: text == final)
