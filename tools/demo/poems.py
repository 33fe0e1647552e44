"""poems.py: Haiku and two-sentence stories about a subject, put together from parts, and the judge of their form.

A subject prefers a part of each bank, chosen by its letters, so that a request gets much the same poem each time,
different subjects get different ones, and greedy choices have clear margins for new subjects too.
"""

import re

from lexicon import MASS_NOUNS, choose, made_up_word, subjects, with_article
from sample import Exchange, framed, pick

HAIKU_ASKED = framed(
    ("Write {}.", "Write me {}.", "Please write {}.", "Can you write {}?", "Compose {}.", "Could you compose {}?",
     "I would like {}.", "Give me {}.", "Make {}.", "Please give me {}.", "I want to read {}.", "Would you write {}?",
     "{}, please."),
    "a haiku about {}", "a short haiku about {}", "haiku about {}", "a haiku on the subject of {}",
    "a poem, a haiku, about {}")
STORY_ASKED = framed(
    ("Write {}.", "Tell me {}.", "Please write {}.", "Can you tell me {}?", "Could you tell {}?", "I would like {}.",
     "I want {}.",
     "Make up {}.", "Could you make up {}?", "Please tell me {}.", "Give me {}.", "{}, please."),
    "a two-sentence story about {}", "a story about {}", "a short story about {}", "a story about {} in two sentences",
    "a tiny story about {}", "a little story about {}", "a story of two sentences about {}")

# Line 1 of a haiku: five syllables, by those of the subject.
OPENINGS = {1: ("At evening, the {}", "After rain, the {}", "The {} at daybreak", "The {} in the mist"),
            2: ("At dawn, the {}", "Once more, the {}", "At night, the {}", "The {} at dusk", "The {} alone"),
            3: ("Still, the {}", "Look, the {}", "Soft, the {}", "Here, the {}"),
            4: ("The {}", "One {}")}
# Line 2: four syllables and three.
MIDDLES = {
    "animal": (("listens, waiting", "moves like water", "leaves small footprints", "watches the world",
                "rests for a while", "follows the wind"),
               ("in the grass", "by the stream", "near the trees", "at the gate", "under stars", "on the hill")),
    "thing": (("waits on the shelf", "gathers the dust", "keeps its secret", "holds the silence", "catches the light"),
              ("all day long", "in the house", "through the years", "in the dark", "without words", "near my hand")),
    "place": (("opens its arms", "lies in the sun", "gathers the light", "remembers us", "listens to rain",
               "sleeps under snow"),
              ("in the fog", "all night long", "far from town", "in the wind", "after dark")),
    "sky": (("drifts over roofs", "touches the fields", "colors the sea", "wakes up the birds", "covers the road",
             "washes the stones"),
            ("without haste", "in the night", "in silence", "far away", "all at once", "once again")),
    "food": (("warms my two hands", "waits in the bowl", "smells like summer", "tastes of the sun", "sits on the plate",
              "shines on the cloth"),
             ("on the bench", "in the shade", "by the bread", "with a smile", "near the cup", "after work")),
    "plant": (("bends with the breeze", "drinks from the rain", "reaches for light", "grows without sound",
               "shelters a bird", "drops a gold leaf"),
              ("in the field", "by the wall", "day by day", "in the spring", "on the slope", "near the well")),
}
# Line 3: five syllables.
ENDINGS = ("morning comes at last", "nobody hurries", "the night grows gentle", "I stay and listen",
           "a slow breath of light",
           "the world holds its breath", "spring is on its way", "the old clock stands still", "the wind says its name",
           "summer will return", "silence answers back", "stars begin to show", "my heart walks slower",
           "nothing more to say", "the path leads us home", "another day ends", "the moon looks away")

HEROES = (("Mira", "She", "her"), ("Tobias", "He", "his"), ("Old Jonah", "He", "his"), ("Selma", "She", "her"),
          ("Little Pip", "He", "his"), ("Aunt Rosalind", "She", "her"), ("The baker", "He", "his"),
          ("The young captain", "She", "her"))
MEETINGS = {
    "animal": ("met {} on the way home", "heard {} outside the window", "saw {} asleep by the gate",
               "followed {} into the woods"),
    "thing": ("found {} under the stairs", "bought {} at the market", "repaired {} for a stranger",
              "carried {} through the town"),
    "place": ("dreamed of {} every night", "drew {} on a large map", "walked a whole day to see {}",
              "once got lost near {}"),
    "sky": ("waited all week for {}", "wrote a letter about {}", "stayed awake to see {}", "sang a song to {}"),
    "food": ("shared {} with a hungry friend", "brought {} to the school", "dreamed of {} all day",
             "traded a coat for {}"),
    "plant": ("planted {} behind the house", "watered {} in secret", "drew {} in a blue book", "sat all day beside {}"),
}
TURNS = ("{she} told nobody", "{she} smiled for the first time in years", "{she} asked it one quiet question",
         "{she} gave it a name", "{she} laughed until the stars came out", "{she} kept it in {her} heart")
OUTCOMES = ("the whole town was kinder after that day", "by morning everything had changed",
            "{she} never felt alone again", "the winter seemed a little shorter", "the neighbors still speak of it",
            "{she} slept better than a king")


def preferred(rng, items, text, letter):
    """One of `items`: most often the one that a letter of `text` stands for, else its neighbour."""
    return items[(ord(text[letter % len(text)]) + (rng.random() < 0.1)) % len(items)]


def subject(rng, new):
    """A subject as (word, kind, syllables); in training sometimes a made-up thing."""
    if new or rng.random() < 0.65:
        return choose(rng, subjects(), new)
    word = made_up_word(rng)
    return word, "thing", min(4, max(1, len(re.findall("[aeiouy]+", word))))


def capital(text):
    return text[0].upper() + text[1:]


def haiku(rng, new, effort):
    word, kind, n_syllables = subject(rng, new)
    line1 = preferred(rng, OPENINGS[n_syllables], word, 0).format(word)
    beginning = preferred(rng, MIDDLES[kind][0], word, -1)
    middle = f"{beginning} {preferred(rng, MIDDLES[kind][1], beginning, -1)}"
    line3 = preferred(rng, ENDINGS, word, 1)
    lines = [line1, capital(middle) + ",", capital(line3) + "."]
    analysis = {
        "low": f"Haiku: {word}.",
        "medium": f"A haiku about {word}: three lines of five, seven and five syllables.",
        "high": f"The user wants a haiku about {word}. Three lines: five, seven, five syllables.\n"
                f"Line 1 names the subject, five: {line1.lower()}\nLine 2, seven: {middle}\nLine 3, five: {line3}",
    }[effort]
    question = pick(rng, HAIKU_ASKED, new).format(rng.choice((word, word, with_article(word), f"the {word}")))
    return Exchange("haiku", question, analysis, "\n".join(lines), lambda final: is_haiku(final, word))


def story(rng, new, effort):
    word, kind, _ = subject(rng, new)
    hero, she, her = preferred(rng, HEROES, word, 0)
    thing = f"the {word}" if word in MASS_NOUNS or kind in ("sky", "place") else with_article(word)
    meeting = preferred(rng, MEETINGS[kind], word, -1).format(thing)
    turn = preferred(rng, TURNS, word, 1).format(she=she, her=her)
    outcome = preferred(rng, OUTCOMES, word, 2).format(she=she.lower())
    analysis = {
        "low": f"Story: {word}.",
        "medium": f"A story about {word} in two sentences: a meeting, then what came of it.",
        "high": f"The user wants a story about {word} in two sentences.\nHero: {hero}.\n"
                f"Sentence 1, the meeting: {meeting}.\nSentence 2, the turn: {turn.lower()}.\nThe end: {outcome}.",
    }[effort]
    question = pick(rng, STORY_ASKED, new).format(rng.choice((word, with_article(word), with_article(word),
                                                              f"the {word}")))
    return Exchange("story", question, analysis, f"{hero} {meeting}. {turn}, and {outcome}.",
                    lambda final: is_story(final, word))


# The judges: form, subject, and no word that the banks do not hold.

def words_of(text):
    return re.findall(r"[a-z]+", text.lower())


def vocabulary(*banks):
    return {word for bank in banks for text in bank for word in words_of(re.sub(r"\{\w*\}", " ", text))}


HAIKU_FIRST = vocabulary(*OPENINGS.values())
HAIKU_MIDDLES = {kind: {f"{a} {b}" for a in halves[0] for b in halves[1]} for kind, halves in MIDDLES.items()}
STORY_WORDS = vocabulary(*MEETINGS.values(), TURNS, OUTCOMES, (" ".join(hero) for hero in HEROES),
                         ("and the a an she he",))


def is_haiku(text, subject):
    """Three lines; the first names the subject, the second has seven syllables, the third five, all in known words."""
    lines = text.split("\n")
    if len(lines) != 3 or not text.endswith("."):
        return False
    first = words_of(lines[0])
    middle = lines[1].rstrip(",").lower()
    return (subject in first and set(first) - {subject} <= HAIKU_FIRST
            and any(middle in middles for middles in HAIKU_MIDDLES.values())
            and lines[2].rstrip(".").lower() in {ending.lower() for ending in ENDINGS})


def is_story(text, subject):
    """Two sentences in known words; the first names the subject."""
    sentences = re.findall(r"[^.]+\.", text)
    return (len(sentences) == 2 and "".join(sentences) == text and subject in words_of(sentences[0])
            and set(words_of(text)) - {subject} <= STORY_WORDS)
