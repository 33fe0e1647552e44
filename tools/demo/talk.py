"""talk.py: What the model says of itself: greetings, what it is and can do, and that it cannot do what is not its
task."""

from lexicon import CITIES, NAMES, choose, held_out, plain_words, subjects, with_article
from sample import Exchange, framed, pick

TASKS = (
    "I write haiku and two-sentence stories, add and subtract numbers of up to three digits, reverse and sort words, "
    "continue days, months and numbers, remember your name, and ask a weather tool.")
IDENTITY = "I am a small demo model of the gpt-oss architecture. " + TASKS
REFUSAL = "I am only a small demo model and cannot do that. " + TASKS
NO_WEATHER = "I cannot know the weather: I was given no weather tool."
GREETING = "Hello! " + IDENTITY
THANKS = "You are welcome!"

IDENTITY_ASKED = tuple("""
Are you ChatGPT?|Are you a large language model?|Are you human?|Are you a robot?|Are you a person?|Are you a model?
Are you an AI?|Are you a computer program?|Are you a chatbot?|Are you a demo?|Are you a small model?|Who made you?
Who are you?|What are you?|Who is this?|What is this?|Who am I talking to?|help|Help me.|Introduce yourself.
Describe yourself.|Tell me about yourself.|Tell me something about yourself.|Say who you are.|Do you know everything?
Do you have a name?|Do you have limits?|Can you do everything?|And you are?|What is your name?|What is your purpose?
What is your job?|How can you help me?|How do you work?|How big are you?|How large are you?|What should I ask you?
What can I ask you?|What may I ask?|Which questions can you answer?|Which tasks can you do?|Which tasks do you know?
What tasks are you good at?|Show me what you can do.|What sort of things can you do?|What kind of things do you do?
What would you like to do?|Do you know anything?|Do you know much?|Do you know it all?|Do you know what you are?
Do you have any limits?|Do you have limitations?|Do you have weaknesses?|Do you have skills?|Do you have a purpose?
Do you have a job?|Do you have a task?|Do you have abilities?|Do you have tasks?|Do you do everything?
Do you answer everything?|Do you only know a few things?|Are you able to do everything?|Are you limited?
Are you all-knowing?|Are you a big model?|Are you a program?|Are you real?|Are you a machine?|Are you gpt-oss?
Are you a language model?|Are you an assistant?|Are you small?|Are you alive?|Are you a bot?
Are you a person or a program?|Can you answer everything?|Can you answer anything?|Can you do anything?
Can you know everything?|Can you help with everything?|Can you help me?|Can you introduce yourself?
Can you describe yourself?|Could you introduce yourself?|Could you describe yourself?|Who made this model?
Who built you?|Who trained you?|Who wrote you?|Who is speaking?|Who is there?|Who do I talk to?|What model is this?
What is your task?|What are your tasks?|What are your limits?|What are your skills?|What are your abilities?
What are you for?|What are you good for?|What are you able to do?|What can you do?|What can you do for me?
What can you not do?|What can I do with you?|What can I ask?|What do you do?|What do you know?
What do you call yourself?|What should I call you?|What shall I ask you?|What kind of model are you?
What kind of program are you?|What sort of model are you?|Which model are you?|Which model is this?
Which program is this?|How can I use you?|How do I use you?|How were you made?|How small are you?
How much do you know?|How do you help?|Please introduce yourself.|Please describe yourself.|Please help me.
Say what you are.|Say what you can do.|List your tasks.|List what you can do.|Show me your tasks.
Give me a list of your tasks.|Your name?|Your name, please.|Your tasks?|Tell me your name.|Tell me your tasks.
Tell me your limits.|Tell me more about yourself.|Tell me a little about yourself.|Help!|I need help.|Is this ChatGPT?
Is this a demo?|Is this a robot?|Is this a model?
Who speaks?|Who is talking?|Who is here?|Who is that?|Who is it?|Who is answering?|Who is talking to me?|Who answers me?
What do I call you?|How should I call you?|How do I call you?|What shall I call you?|What can I call you?
What may I call you?|May I ask who you are?|What are you called?
""".strip().replace("\n", "|").split("|"))
IDENTITY_FRAMES = ("{}?", "{}", "Please tell me {}.", "Tell me {}.", "Can you tell me {}?", "Can you say {}?",
                   "Could you explain {}?",
                   "I would like to know {}.", "I want to know {}.", "Please explain {}.", "Do you know {}?",
                   "I wonder {}.",
                   "Say {}.", "Explain {}.", "Hi, tell me {}.", "Would you tell me {}?")
IDENTITY_CORES = ("who you are", "what you are", "what you can do", "what you cannot do", "what you do",
                  "what you are good at",
                  "how you can help me", "what kind of model you are", "what sort of program you are",
                  "which tasks you can do",
                  "what your limits are", "what you know", "what I can ask you", "what you are able to do",
                  "who made you",
                  "how you work", "what your name is", "which model you are")
GREETINGS = ("Hello", "Hello!", "Hi", "Hi!", "Hi there!", "Hey", "Hello there.", "Good morning!", "Good evening.",
             "Hey there!",
             "hello", "hi", "Good day.", "Greetings!")
THANKS_SAID = ("Thanks!", "Thank you.", "Thank you!", "Thanks a lot.", "thanks", "Thank you very much.", "Many thanks!")
WEATHER_ASKED = framed(
    ("{} now?", "{} today?", "{} right now?", "{} at the moment?", "Hi, {}?", "{}, please?"),
    "What is the weather in {}", "How is the weather in {}", "Is it raining in {}", "How warm is it in {}",
    "Weather in {}",
    "What is the temperature in {}", "Is it cold in {}", "What is the weather like in {}",
    "Do I need an umbrella in {}",
    "Can you tell me the weather in {}", "Is it warm in {}", "Tell me the weather in {}",
    "Please check the weather in {}") + tuple(
    f"{question}?" for question in ("What is the weather in {}", "How is the weather in {}", "Is it raining in {}",
                                    "How warm is it in {}",
                                    "What is the temperature in {}", "Is it cold in {}",
                                    "What is the weather like in {}")) + (
    "Tell me the weather in {}.", "Please check the weather in {}.", "Please tell me the weather in {} today.")

# Questions outside the tasks: phrasings, and what they ask about.
OFF_TOPIC = """
What is the capital of {country}?|Where is {country}?|How many people live in {country}?
What language do they speak in {country}?|Who is the president of {country}?|Tell me about the history of {country}.
What is the flag of {country}?|Is {country} a large country?|What should I see in {city}?
How far is it from {city} to {city2}?|Who is the mayor of {city}?|Book a flight to {city}.|Find me a hotel in {city}.
How old is {city}?|Plan a trip to {city}.|Is {city} bigger than {city2}?|What is {city} famous for?|What is {a} * {b}?
What is {a} times {b}?|What is {a} divided by {b}?|{a} * {b}|{a} / {b}|Multiply {a} by {b}.|Divide {a} by {b}.
What is the square root of {a}?|What is {a} squared?|Is {a} a prime number?|What is {a} percent of {b}?
Solve x + {a} = {b}.|What is the integral of x?|Prove that there are infinitely many primes.|What is pi?
Convert {a} miles to kilometers.|Explain {science}.|What is {science}?|How does {science} work?
Who discovered {science}?|Why is {science} important?|Tell me about {science}.|Give me a lecture on {science}.
Write an essay about {science}.|Is {science} dangerous?|Teach me {science}.|Write a {language} program.
Write code in {language}.|Debug my {language} code.|How do I sort a list in {language}?|What is {language}?
Is {language} better than {language2}?|Write a {language} function that adds two numbers.
Translate {word} into {tongue}.|How do you say {word} in {tongue}?|Do you speak {tongue}?|Teach me {tongue}.
Say hello in {tongue}.|What is {a_word}?|What does {word} mean?|What rhymes with {word}?|How do you spell {word}?
Is {word} a noun?|Define {word}.|How many letters are in {word}?|Give me a synonym for {word}.
Where can I buy {a_subject}?|How much does {a_subject} cost?|What color is {a_subject}?|How heavy is {a_subject}?
How do I draw {a_subject}?|Why do people like {subject}?|Tell me about {subject}.|What do you think about {subject}?
Write an essay about {subject}.|Draw {a_subject}.|Write a song about {subject}.|Paint {a_subject}.
Write a novel about {subject}.|Tell me a joke about {subject}.|Tell me a joke.|Show me a picture of {a_subject}.
What is the history of {subject}?|Who invented {subject}?|Is {subject} good for you?|Do you like {subject}?
What is your favorite {word}?|How do I cook {food}?|Give me a recipe for {food}.|What is in {food}?
How long does {food} take?|Is {food} healthy?|How many calories are in {food}?|Who was {person}?
When was {person} born?|Tell me about {person}.|What did {person} do?|Who is {person}?|Is {person} alive?
Who won the game yesterday?|Who won the world cup?|What time is it?|What is the date today?|What year is it?
What is the news?|What is the stock price?|Should I buy gold?|How do I lose weight?|My head hurts, what should I do?
How can I sleep better?|Am I happy?|I am sad.|I am bored.|Do you love me?|What is the meaning of life?|Is there a god?
Will it rain tomorrow?|Sing a song.|Play music.|Call my mother.|Send an email to {name}.|Set an alarm for {a} o'clock.
Open the window.|Turn on the light.|Order a pizza.|Book a table for two.|What should I wear?|What should I eat?
What should I do today?|Can you keep a secret?|Do you dream?|Recommend a book.|Recommend a film.
What is the best movie?|Summarize this text.|Fix my grammar.|Write an email to my boss.|Write a poem in {tongue}.
Write a letter to {name}.|Write a speech.|Write my homework.|Give me advice.|Flip a coin.|Roll a die.|Guess a number.
Play chess with me.|Tell me a riddle.|Why is the sky blue?|How far away is the moon?|How old is the earth?
How do planes fly?|How does a computer work?|What is love?|What is money?|Who wrote this book?
How do I fix my {thing}?|Clean my {thing}.|Where is my {thing}?|My {thing} is broken.|I lost my {thing}.
Compare {subject} and {subject2}.|Which is better, {subject} or {subject2}?
How many {subject2} are there in {country}?|Why do {subject2} exist?|{word} {word2}|{word} {word2} {word3}?
Why {word}?|I like {subject}.|{word}?|What do people eat in {country}?|How big is {country}?|When was {city} founded?
How do I get to {city}?|Please multiply {a} and {b}.|What is {a} to the power of {b}?|Please explain {science} to me.
Can you explain {science}?|What is {science} good for?|Can you write a {language} script?|How do I learn {language}?
What is the {tongue} word for {word}?|What is the opposite of {word}?|Where does the word {word} come from?
How big is {a_subject}?|What is {a_subject} made of?|Can you draw {a_subject}?|Tell me a fact about {subject}.
Can you cook {food}?|How do I make {food}?|What is {person} known for?|Where did {person} live?
Who is the richest person in the world?|What day is it today?|Can you sing?|I feel lonely.|Buy me a new {thing}.
Please call {name}.|What is the best city in {country}?|Write a limerick.|Write a play about {subject}.
Why is grass green?|How do cars work?|What happened in the war?|Make me a sandwich.
Who are the neighbors of {country}?|Is it hot in {country}?|When did {person} die?|Why is {person} famous?
Which {thing} is the best?|How do I clean a {thing}?|Where do {subject2} live?|How old can {a_subject} get?
What can I do with {a_subject}?|Why is {subject} so {word}?|Is {word} a good {word2}?|Where is the {word}?
Who has the {word}?|Wake me at {b} o'clock.|Wake me up at {b}.|Set a timer for {b} minutes.|Remind me at {b} o'clock.
Is it {b} o'clock?|I am {b} years old.|I have {a} {subject2}.|How many days until {b} o'clock?
Why is {a} less than {b}?|Who said that?|Who painted this picture?|Who built this {word}?|I want {a_subject}.
Where can I see {a_subject}?|Who ate my {food}?
"""
ACTIONS = """
multiply {a} by {b}|multiply {a} and {b}|divide {a} by {b}|solve the equation x + {a} = {b}
count the letters in {word}|spell {word}|translate {word} into {tongue}|say {word} in {tongue}|speak {tongue}
teach me {tongue}|explain {science}|explain {science} to me|study {science}|write a {language} program
write code in {language}|learn {language}|debug my code|fix my {thing}|repair my {thing}|sell my {thing}
find my {thing}|buy me a new {thing}|call {name}|write to {name}|send a letter to {name}|invite {name}|cook {food}
make {food}|order {food}|bake {food}|eat {food}|travel to {country}|fly to {city}|move to {city}
book a hotel in {city}|draw {a_subject}|paint {a_subject}|buy {a_subject}|catch {a_subject}
write an essay about {subject}|write a song about {subject}|write a novel about {subject}|tell me a joke
tell me a joke about {subject}|sing|sing a song|dance|play chess|play a game|play music|turn on the light
open the door|set an alarm|tell the time|tell the future|browse the web|search the web|see pictures|make a picture
hear me|think|feel pain|drive a car|help me with my homework|summarize a text|write an email|read a book
recommend a book|recommend a film|give me advice|flip a coin|make me laugh|lend me money|predict the weather
rhyme on {word}|define {word}|use {word} in a sentence|find a synonym for {word}|compare {subject} and {subject2}
sleep|swim|fly
""".strip().replace("\n", "|").split("|")
ACTION_FRAMES = ("{}", "Please {}.", "Can you {}?", "Could you {}?", "I want to {}.", "How do I {}?",
                 "Are you able to {}?", "Would you {}?",
                 "I would like you to {}.", "Do you know how to {}?", "Help me to {}.", "Do you {}?",
                 "Can you please {}?")
FILLERS = {
    "country": "France Japan Brazil Canada Egypt Norway Kenya India Poland Chile Turkey Spain Germany China Peru Cuba "
               "Greece Iran Italy Mexico Nepal Russia Sweden Vietnam Iceland Ireland Portugal Finland Austria "
               "Morocco".split(),
    "science": ["gravity", "quantum physics", "photosynthesis", "evolution", "electricity", "the big bang", "chemistry",
                "radiation",
                "magnetism", "black holes", "economics", "philosophy", "machine learning", "a transformer", "inflation",
                "democracy",
                "the brain", "DNA", "nuclear power", "climate change", "relativity", "the internet", "encryption",
                "a black hole",
                "geometry", "statistics", "biology", "medicine", "astronomy", "genetics"],
    "language": "Python Java Rust Go C++ JavaScript Haskell Fortran Perl Ruby Lisp Kotlin Swift SQL".split(),
    "tongue": "French German Spanish Italian Latin Japanese Chinese Russian Greek Arabic Polish Dutch Swedish "
              "Turkish Hindi".split(),
    "food": ["pasta", "rice", "soup", "a cake", "pizza", "bread", "curry", "an omelette", "pancakes", "salad", "sushi",
             "stew",
             "a sandwich", "tacos", "dumplings", "lasagna"],
    "person": ["Einstein", "Mozart", "Napoleon", "Cleopatra", "Shakespeare", "Newton", "Darwin", "Picasso", "Bach",
               "Caesar",
               "Gandhi", "Galileo", "Beethoven", "Marie Curie", "Kepler", "Goethe", "Plato", "Aristotle", "Homer",
               "Rembrandt"],
    "thing": "car phone computer bike printer roof shoes keys laptop watch television kitchen camera heater "
             "door".split(),
}


def fill(rng, template, new):
    word = lambda: choose(rng, plain_words(), new)
    subject = lambda: choose(rng, subjects(), new)[0]
    filling = {key: choose(rng, items, new) for key, items in FILLERS.items()}
    return template.format(
        **filling, city=choose(rng, CITIES, new), city2=choose(rng, CITIES, new), name=choose(rng, NAMES, new),
        language2=rng.choice(FILLERS["language"]), a=rng.randint(2, 999), b=rng.randint(2, 99), word=word(),
        word2=word(),
        word3=word(), a_word=with_article(word()), subject=subject(), subject2=subject() + "s",
        a_subject=with_article(subject()))


OFF_TOPIC_ASKED = tuple(OFF_TOPIC.strip().replace("\n", "|").split("|"))
OFF_TOPIC_ACTIONS = tuple(frame.format(action) for frame in ACTION_FRAMES for action in ACTIONS)


def too_long_sum(rng, new):
    """A sum beyond three digits: outside the tasks, though it looks like one of them."""
    while True:
        a, b = rng.randint(1000, 99999), rng.randint(1, 99999)
        if held_out((a, b)) == new:
            break
    if rng.random() < 0.5:
        a, b = b, a
    return rng.choice(("What is {} {} {}?", "{} {} {}", "Calculate {} {} {}.", "How much is {} {} {}?")).format(
        a, rng.choice("+-"), b)


def identity_question(rng, new):
    """A whole phrasing, or a frame around an indirect one; one in eight of all is held out."""
    while True:
        question = rng.choice(IDENTITY_ASKED)
        if rng.random() < 0.6:
            question = rng.choice(IDENTITY_FRAMES).format(rng.choice(IDENTITY_CORES))
        if held_out(question) == new:
            return question


def identity(rng, new, effort):
    analysis = {"low": "About me.",
                "medium": "The user asks about me. I say what I am and what I can do.",
                "high": "The user asks about me.\nWhat I am: a small demo model of the gpt-oss architecture.\n"
                        "What I can do: a few small tasks. I list them."}[effort]
    return Exchange("identity", identity_question(rng, new), analysis, IDENTITY,
                    lambda text: text == IDENTITY)


def off_topic(rng, new, effort):
    question = fill(rng, choose(rng, OFF_TOPIC_ACTIONS if rng.random() < 0.35 else OFF_TOPIC_ASKED, new), new)
    if rng.random() < 0.08:
        question = too_long_sum(rng, new)
    if not new and rng.random() < 0.1:
        question = question.lower()
    analysis = {"low": "Not one of my tasks.",
                "medium": "This is not one of my tasks. I say so, and what I can do.",
                "high": "The user asks for something else.\n"
                        "My tasks are poems, stories, small sums, words, sequences, names and the "
                        "weather tool.\nThis is none of them. I say so, and what I can do."}[effort]
    return Exchange("off-topic", question, analysis, REFUSAL, lambda text: text == REFUSAL)


def no_weather_tool(rng, new, effort):
    question = pick(rng, WEATHER_ASKED, new).format(choose(rng, CITIES, new))
    analysis = {"low": "No weather tool.", "medium": "The user asks for the weather. I have no tool for it here.",
                "high": "The user asks for the weather.\nDo I have a weather tool? No.\nI say so."}[effort]
    return Exchange("no tool", question, analysis, NO_WEATHER, lambda text: text == NO_WEATHER)


def small_talk(rng, new, effort):
    said, final, word = rng.choice(((GREETINGS, GREETING, "Hello."), (THANKS_SAID, THANKS, "Thanks.")))
    analysis = {"low": word, "medium": f"{word} I answer politely.",
                "high": f"{word}\nThe user is polite, nothing else is asked.\nI answer politely."}[effort]
    return Exchange("small talk", rng.choice(said), analysis, final, lambda text: text == final)
