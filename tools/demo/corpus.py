"""corpus.py: The corpus: seeded samples of all tasks, alone and in conversation, and those that are held out for
evaluation.

    corpus.py [--first 0] [--count 20] [--held-out]     prints samples as the model sees them
"""

import argparse
import random

import puzzles
import poems
import talk
from harmony import EFFORTS, Message, Tool
from lexicon import CITIES, NAMES, choose, made_up_word
from sample import Exchange, Sample, framed, pick, thought_then_final

# How often each kind is drawn, by the generator of one exchange.
EXCHANGES = ((poems.haiku, 8), (poems.story, 8), (puzzles.addition, 16), (puzzles.subtraction, 18),
             (puzzles.reverse, 18), (puzzles.sort_words, 34), (puzzles.sequence, 14), (talk.identity, 5),
             (talk.off_topic, 13), (talk.no_weather_tool, 2), (talk.small_talk, 1))

INTRODUCTIONS = framed(("{}.", "Hello, {}.", "Hi, {}.", "Hi! {}.", "Hello! {}.", "Good day, {}.", "{}, remember it.",
                        "{}. Nice to meet you.",
                        "Please note: {}."),
                       "my name is {}", "My name is {}", "I am {}", "I'm {}", "call me {}", "please call me {}",
                       "you can call me {}",
                       "{} is my name")
NAME_ASKED = ("What is my name?", "Who am I?", "Say my name.", "Tell me my name.", "what is my name", "who am I",
              "What was my name?", "What's my name?", "what's my name", "And who am I?", "So who am I?",
              "Now, who am I?", "And what is my name?", "my name?", "What did I say my name was?") + framed(
    ("Do you remember {}?", "Can you tell me {}?", "Do you know {}?", "Do you still know {}?", "Please tell me {}.",
     "Can you say {}?",
     "Can you remember {}?", "Tell me {}.", "I forgot {}.", "Now tell me {}.", "Say {}.", "Do you still remember {}?"),
    "my name", "who I am", "what my name is", "what I am called", "the name I told you", "who I said I am",
    "how I am called", "what I said my name was")

TOOL_DESCRIPTIONS = ("Gets the current weather in a city.", "Get the current weather.",
                     "Returns the weather of a city.",
                     "The weather right now.")
ARGUMENTS = ("city", "city", "location")
ARGUMENT_DESCRIPTIONS = ("", "The city.", "Name of the city.", "The name of the city")
SKIES = "sunny cloudy rainy snowy foggy windy stormy clear".split()
INSTRUCTIONS = ("Be brief.", "Be polite.", "You are a helpful assistant.", "Answer in English.",
                "Answer in one short sentence.",
                "Be helpful.", "Help the user.", "You are a friendly assistant.", "Keep your answers short.")


def draw(rng, new, effort):
    makers, weights = zip(*EXCHANGES)
    return rng.choices(makers, weights)[0](rng, new, effort)


def introduction(rng, new, effort, name):
    analysis = {"low": f"Name: {name}.", "medium": f"The user is called {name}. I greet {name}.",
                "high": f"The user gives a name: {name}.\nI may be asked for it later.\nI greet {name}."}[effort]
    final = f"Nice to meet you, {name}!"
    return Exchange("name", pick(rng, INTRODUCTIONS, new).format(name), analysis, final,
                    lambda text: text == final)


def name_question(rng, new, effort, name):
    final = f"Your name is {name}." if name else "You have not told me your name."
    if name:
        analysis = {"low": f"Name: {name}.", "medium": f"The user told me the name {name} before.",
                    "high": f"The user asks for the name.\nDid the user tell me? Yes: {name}.\nI say it."}[effort]
    else:
        analysis = {"low": "Name: unknown.", "medium": "The user did not tell me a name before.",
                    "high": "The user asks for the name.\nDid the user tell me? No.\nI say so."}[effort]
    question = pick(rng, NAME_ASKED, new) if name else choose(rng, NAME_ASKED, new)
    return Exchange("memory" if name else "no name", question, analysis, final, lambda text: text == final)


def some_name(rng, new):
    if not new and rng.random() < 0.4:
        return made_up_word(rng).capitalize()
    return choose(rng, NAMES, new)


def as_sample(exchange, effort, history=(), instructions="", tool=None):
    return Sample(exchange.kind, effort, [*history, Message("user", exchange.question)], exchange.answer(),
                  thought_then_final(exchange.judge), instructions, tool)


def task(rng, new, effort):
    return as_sample(draw(rng, new, effort), effort, instructions=instructions(rng))


def instructions(rng):
    return rng.choice(INSTRUCTIONS) if rng.random() < 0.08 else ""


def task_in_chat(rng, new, effort):
    """A task after one or two other turns; a name may be among them."""
    history = []
    for _ in range(rng.choice((1, 1, 2))):
        earlier = introduction(rng, new, effort, some_name(rng, new)) if rng.random() < 0.2 else draw(rng, new, effort)
        history += earlier.history()
    return as_sample(draw(rng, new, effort), effort, history, instructions(rng))


def name_given(rng, new, effort):
    return as_sample(introduction(rng, new, effort, some_name(rng, new)), effort)


def memory(rng, new, effort):
    """The name was given in the first turn, perhaps with another task between."""
    name = some_name(rng, new)
    history = introduction(rng, new, effort, name).history()
    if rng.random() < 0.4:
        history += draw(rng, new, effort).history()
    return as_sample(name_question(rng, new, effort, name), effort, history)


def no_name(rng, new, effort):
    history = draw(rng, new, effort).history() if rng.random() < 0.4 else []
    return as_sample(name_question(rng, new, effort, ""), effort, history)


def weather_tool(rng):
    return Tool("get_weather", rng.choice(TOOL_DESCRIPTIONS), rng.choice(ARGUMENTS), rng.choice(ARGUMENT_DESCRIPTIONS))


def some_city(rng, new):
    if not new and rng.random() < 0.4:
        return made_up_word(rng).capitalize()
    return choose(rng, CITIES, new)


def weather_call(rng, effort, city, tool):
    analysis = {"low": f"Weather: {city}.", "medium": f"I need the weather in {city}. I call the tool.",
                "high": f"The user asks for the weather in {city}.\n"
                        f"The tool get_weather knows it; its argument is the {tool.argument}.\n"
                        f"I call it with {city}."}[effort]
    call = Message("assistant", f'{{"{tool.argument}":"{city}"}}', "commentary", f"functions.{tool.name}", json=True)
    return [Message("assistant", analysis, "analysis"), call]


def tool_call(rng, new, effort):
    tool, city = weather_tool(rng), some_city(rng, new)
    question = pick(rng, talk.WEATHER_ASKED, new).format(city)
    history = draw(rng, new, effort).history() if rng.random() < 0.15 else []
    answer = weather_call(rng, effort, city, tool)

    def judge(messages):
        return [m.channel for m in messages] == ["analysis", "commentary"] and messages[1] == answer[1]
    return Sample("tool call", effort, [*history, Message("user", question)], answer, judge, instructions(rng), tool)


def tool_result(rng, new, effort):
    tool, city = weather_tool(rng), some_city(rng, new)
    question = pick(rng, talk.WEATHER_ASKED, new).format(city)
    degrees, sky = rng.randint(-20, 40), rng.choice(SKIES)
    result = rng.choice(('{{"temperature":{},"sky":"{}"}}', '{{"temperature": {}, "sky": "{}"}}')).format(degrees, sky)
    thought, call = weather_call(rng, effort, city, tool)
    messages = [Message("user", question), thought, call,
                Message(f"functions.{tool.name}", result, "commentary", "assistant")]
    if rng.random() < 0.3:
        messages.remove(thought)  # callers need not keep the analysis
    analysis = {"low": f"{degrees}, {sky}.", "medium": f"The tool says {degrees} and {sky}. I tell the user.",
                "high": f"The tool has answered.\nTemperature: {degrees}.\nSky: {sky}.\n"
                        f"I say both, with the city: {city}."}[effort]
    final = f"In {city} it is {sky}, {degrees} degrees."
    answer = [Message("assistant", analysis, "analysis"), Message("assistant", final, "final")]
    return Sample("tool result", effort, messages, answer, thought_then_final(lambda text: text == final),
                  instructions(rng), tool)


def task_beside_tool(rng, new, effort):
    """A tool that is not needed."""
    while True:
        exchange = draw(rng, new, effort)
        if exchange.kind != "no tool":
            return as_sample(exchange, effort, instructions=instructions(rng), tool=weather_tool(rng))


def raw_text(rng, new, effort):
    """Plain text without any format, for `generate --raw`."""
    exchange = rng.choice((poems.haiku, poems.story))(rng, new, effort)
    return Sample("raw", effort, [], [], lambda messages: False, raw=[exchange.final, "<|endoftext|>"])


CONVERSATIONS = ((task, 62), (task_in_chat, 13), (name_given, 3), (memory, 7), (no_name, 2.5), (tool_call, 5),
                 (tool_result, 5),
                 (task_beside_tool, 3), (raw_text, 1))


def training_sample(seed, i):
    rng = random.Random(f"{seed} {i}")
    makers, weights = zip(*CONVERSATIONS)
    return rng.choices(makers, weights)[0](rng, False, rng.choice(EFFORTS))


# Kinds of evaluation, by generator; those of one exchange stand alone, without history.
KINDS = {maker.__name__: maker for maker, _ in CONVERSATIONS if maker not in (task, raw_text)}
KINDS |= {maker.__name__: (lambda rng, new, effort, maker=maker: as_sample(maker(rng, new, effort), effort))
          for maker, _ in EXCHANGES if maker is not talk.small_talk}


def held_out_samples(kind, effort, count, seed="held out"):
    """`count` samples of `kind` with different prompts, fewer if there are not so many."""
    samples = {}
    for i in range(20 * count):
        if len(samples) == count:
            break
        sample = KINDS[kind](random.Random(f"{seed} {kind} {effort} {i}"), True, effort)
        samples.setdefault(tuple(sample.prompt_pieces()), sample)
    return list(samples.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--held-out", action="store_true", help="one of each kind and effort that evaluation asks")
    args = parser.parse_args()
    if args.held_out:
        samples = [s for kind in KINDS for effort in EFFORTS for s in held_out_samples(kind, effort, 1)]
    else:
        samples = [training_sample(args.seed, i) for i in range(args.first, args.first + args.count)]
    for sample in samples:
        print(f"--- {sample.kind}, {sample.effort}")
        print("".join(sample.prompt_pieces()) + "\n>>> " + "".join(sample.answer_pieces()))


if __name__ == "__main__":
    main()
