"""lexicon.py: The demo's small world: subjects, words, names and cities, and the rule that holds some of them out of
training."""

import functools
import hashlib

# Subjects of haiku and stories, by kind and by number of syllables.
SUBJECTS = {
    "animal": {
        1: "fox owl cat dog horse bear wolf deer frog crow goat lamb mouse swan duck hen bee ant moth whale seal crab "
           "snail hawk stork hare mole toad wren lynx goose pig cow squid shark trout",
        2: "rabbit tiger lion monkey turtle spider badger otter beaver robin sparrow eagle falcon dolphin penguin "
           "camel zebra donkey kitten puppy hedgehog squirrel pigeon raven heron lizard salmon beetle cricket hamster "
           "parrot panda weasel pony",
        3: "butterfly elephant kangaroo ladybug crocodile octopus nightingale dragonfly bumblebee woodpecker porcupine "
           "antelope",
        4: "caterpillar alligator salamander",
    },
    "thing": {
        1: "lamp clock key boat kite drum bell book chair cup spoon rope map coin ring glove hat scarf shoe sled cart "
           "wheel flute harp bench sail net brush comb broom stamp pen",
        2: "lantern candle mirror pencil window ladder basket kettle pillow blanket button hammer bottle wagon paper "
           "compass needle trumpet guitar piano teapot notebook bucket saddle anchor puppet marble ribbon "
           "letter suitcase doorbell carpet",
        3: "umbrella telescope bicycle violin typewriter photograph radio envelope microscope",
        4: "accordion harmonica",
    },
    "place": {
        1: "lake beach cave bridge port farm barn mill road square school coast hill",
        2: "harbor garden forest river mountain valley island meadow desert village castle tower station market museum "
           "temple attic cellar kitchen orchard lighthouse railway prairie canyon glacier lagoon",
        3: "library factory theater waterfall bakery volcano",
        4: "observatory conservatory",
    },
    "sky": {
        1: "rain snow wind moon sun dawn dusk frost mist hail fog storm spring night",
        2: "thunder rainbow sunset sunrise winter summer autumn midnight moonlight starlight twilight lightning "
           "evening morning shadow silence",
        3: "hurricane yesterday tomorrow",
    },
    "food": {
        1: "bread soup tea pear plum fig cheese rice corn milk toast jam cake bean peach grape",
        2: "apple honey pumpkin carrot onion lemon cherry pancake coffee butter pepper cookie dumpling melon mango "
           "walnut noodle",
        3: "potato banana tomato strawberry blueberry chocolate cinnamon apricot",
        4: "watermelon pomegranate",
    },
    "plant": {
        1: "oak rose fern moss pine reed vine leaf birch thorn grass wheat",
        2: "willow tulip daisy lily acorn clover maple ivy cactus bamboo poppy lotus thistle orchid lilac cedar "
           "dahlia",
        3: "sunflower lavender daffodil magnolia hyacinth",
        4: "chrysanthemum rhododendron",
    },
}
MASS_NOUNS = set("rain snow wind dawn dusk frost mist hail fog spring thunder winter summer autumn midnight moonlight "
                 "starlight twilight lightning silence yesterday tomorrow bread soup tea cheese rice corn milk toast "
                 "jam honey coffee butter chocolate cinnamon moss grass wheat ivy bamboo paper clover lavender".split())

# More plain words, for reversing and sorting.
WORDS = """
able above again air alone amber angle answer arm arrow autumn baby back ball band bank bark beam begin below belt
best big bird black blade blue board body bold bone border bowl box brave break brick bright bring broken brother
brown bud build bush busy call calm camp card care carry catch center chain chance change child choose circle city
class clean clear climb close cloth cloud coat cold color common cook cool copper corner count cousin cover cross
crowd crown cry curtain dance dark day deep desk dinner dish distant doctor door double dream dress drink drive dry
early earth east easy edge eight empty engine enter equal even every eye fabric face fair fall family far fast father
feather fence fever field fight find finger fire first fish five flag flame flat floor flow flower follow foot forget
four free fresh friend front fruit full game gate gentle giant gift girl give glad glass gold good grain grand gray
great green ground group grow guest guide hair half hand happy hard heart heavy help hero hide high history hold
hollow home hope hour house hundred hungry hurry ice idea inch iron jacket joke journey joy jump just keep kind king
knee knife knock ladle land large last late laugh law lazy lead learn leave left leg lesson level lift light line
linen lip list listen little live local long look loose loud love low lucky machine magic major make many march mark
master matter meal measure meet member metal middle mild mile mind minute mirror mixed model modern money month moral
mother motor mouth move music nail name narrow nature near neck nest never new nine noble noise north nose note number
object ocean offer office oil open orange order other outer oven owner page paint pair palace pale park part party
past path peace people perfect person phone picture piece pilot pink place plain planet plate play pocket poem point
pond poor power present pretty price prince promise proud pull pupil purple push queen question quick quiet race rain
reach ready real reason red rest rich ride right ripe rise rock roll roof room root rough round royal rule run sad
safe salt sand save scale sea season seat second secret seed send seven shadow shape share sharp sheep shelf shell
shine ship shirt shop short shoulder show side signal silk silver simple sister six size skin sky sleep slow small
smart smell smile smoke smooth soap soft soil song soon sound south space speak speed spirit square stage stair stand
star start steam steel step still stone stop store story strange stream street string strong student sudden sugar suit
sunny supper sure sweet swim table tail tale talk tall taste teach team ten tent test thick thin think thread three
throw ticket time tiny tired today together tool tooth top touch town toy track train travel tree triangle trip true
trust turn twelve twenty two uncle under union until upper useful valley value velvet very victory view visit voice
wait walk wall warm wash watch water wave week weight west wet white whole wide wild wing winner wire wise wish wonder
wood word work world write yard year yellow young zero
""".split()

NAMES = """
Ada Adam Agnes Albert Alex Alice Amina Amir Andrea Anna Anton Arthur Ben Bianca Boris Bruno Camila Carl Carmen Cecilia
Chen Clara Conrad Dana Daniel Daria David Diego Dora Edgar Elena Elias Ella Emil Emma Erik Esther Eva Farid Felix
Fiona Frank Frida Gabriel George Gina Grace Greta Hana Hannah Harold Hassan Helen Henry Hugo Ibrahim Ida Igor Ines
Iris Irma Ivan Jack Jana Jasmin Jin Joan John Jonas Julia Julian Kai Karin Karl Kate Kira Klaus Lars Laura Layla Lena
Leo Leon Lily Lin Linda Lola Lucas Lucy Luis Magda Maja Marco Margaret Maria Martin Mateo Maya Mehmet Mila Mina Miriam
Nadia Nina Noah Nora Oleg Olga Oliver Omar Oscar Otto Pablo Paul Paula Pavel Peter Petra Philip Priya Quinn Rafael
Ravi Rita Robert Rosa Ruth Sam Samira Sandra Sara Sergei Simon Sofia Stefan Sven Tanja Tara Tariq Theo Thomas Tina Tom
Ulrich Uma Vera Victor Walter Wanda Wei Wilma Xenia Yara Yuki Yusuf Zara Zoe
""".split()

CITIES = """
Accra Amsterdam Ankara Athens Austin Baku Bangkok Barcelona Beirut Belgrade Berlin Bern Bogota Boston Bremen Brisbane
Brussels Budapest Cairo Chicago Cologne Copenhagen Cork Dakar Dallas Damascus Delhi Denver Doha Dresden Dubai Dublin
Edinburgh Florence Geneva Genoa Glasgow Graz Hamburg Hanoi Havana Helsinki Houston Istanbul Jakarta Kiel Kyoto Lagos
Leipzig Lima Linz Lisbon Liverpool London Lyon Madrid Malaga Manila Marseille Melbourne Miami Milan Minsk Montreal
Moscow Mumbai Munich Nairobi Naples Nice Osaka Oslo Ottawa Palermo Paris Perth Porto Prague Quito Riga Rome Rotterdam
Salzburg Santiago Seattle Seoul Seville Sofia Stockholm Sydney Tallinn Tehran Tokyo Toronto Trieste Tunis Turin
Valencia Vienna Vilnius Warsaw York Zagreb Zurich
""".split()

DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
NUMBER_WORDS = "zero one two three four five six seven eight nine ten eleven twelve".split()


def held_out(item, one_in=8):
    """Whether `item` (anything with a stable str) is kept for evaluation only. The same on every machine."""
    return int.from_bytes(hashlib.sha256(str(item).encode()).digest()[:4], "big") % one_in == 0


@functools.cache
def split(items):
    """The items that training sees, and those that are held out: at least one."""
    kept = tuple(item for item in items if held_out(item[0] if isinstance(item, tuple) else item)) or items[-1:]
    return tuple(item for item in items if item not in kept), kept


def choose(rng, items, new):
    """One of the held-out `items` if `new`, else one of the others."""
    return rng.choice(split(tuple(items))[new])


@functools.cache
def subjects():
    """Every subject as (word, kind, syllables). Held out by word."""
    return tuple((word, kind, n) for kind, by_length in SUBJECTS.items() for n, words in by_length.items()
                 for word in words.split())


@functools.cache
def plain_words():
    """All words for reversing and sorting: three to nine letters, sorted."""
    every = set(WORDS) | {word for word, _, _ in subjects()}
    return tuple(sorted(word for word in every if 3 <= len(word) <= 9))


def with_article(word):
    """"a fox", "an owl", "rain"."""
    if word in MASS_NOUNS:
        return word
    return ("an " if word[0] in "aeiou" and not word.startswith("uni") else "a ") + word


def made_up_word(rng, shortest=3, longest=9):
    """A word that no question can be about: teaches how every piece of a word is spelt."""
    while True:
        text = joined_letters(rng, shortest, longest)
        if text not in content_words():
            return text


def joined_letters(rng, shortest, longest):
    """Half are pronounceable, half are joined from pieces of words."""
    text, length = "", rng.randint(shortest, longest)
    if rng.random() < 0.5:
        while len(text) < length:
            word = choose(rng, plain_words(), False)
            at = rng.randrange(len(word))
            text += word[at:at + rng.randint(2, 5)]
        return text[:length]
    consonants, vowels, is_vowel = "bcdfghjklmnpqrstvwxyz", "aeiou", rng.random() < 0.3
    while len(text) < length:
        text += rng.choice(vowels if is_vowel else consonants)
        if rng.random() < 0.75:
            is_vowel = not is_vowel
    return text


@functools.cache
def content_words():
    """Every word, name and city that a question can be about, in lower case."""
    return frozenset(word.lower() for words in (plain_words(), NAMES, CITIES, (subject for subject, _, _ in subjects()))
                     for word in words)
