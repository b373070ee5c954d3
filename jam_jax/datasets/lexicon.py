"""Closed classes of English words that rule-made hard negatives exchange; data only.

A word is exchanged for one that excludes it: 'red' for 'blue' but not for 'pink', 'two' for 'four' (a picture of four
dogs also shows two, so numbers only grow), 'old' for 'young' or 'new' after what it describes.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Colours that animals, hair and clothes share are exchanged among themselves, so that the result stays plausible.
PLAIN_COLOURS = ("black", "white", "brown", "grey")
VIVID_COLOURS = ("red", "blue", "green", "yellow", "purple", "orange", "pink")
COLOUR_ALIASES = {
    "gray": "grey", "gold": "yellow", "golden": "yellow", "silver": "grey", "tan": "brown", "beige": "brown",
    "maroon": "red", "crimson": "red", "turquoise": "blue", "violet": "purple", "teal": "green", "navy": "blue",
}  # fmt: skip
# Neighbouring colours that people call by each other's names.
NEAR_COLOURS = {
    "red": ("pink", "orange", "purple", "brown"), "pink": ("red", "purple"), "orange": ("red", "yellow", "brown"),
    "yellow": ("orange",), "purple": ("blue", "pink", "red"), "blue": ("purple", "green"), "green": ("blue", "yellow"),
    "black": ("grey", "brown"), "white": ("grey",), "grey": ("white", "black"),
    "brown": ("black", "grey", "red", "orange"),
}  # fmt: skip
HAIR_COLOURS = {
    "blond": ("black", "red", "grey"), "blonde": ("black", "red", "grey"), "ginger": ("black", "grey"),
    "brunette": ("blond",),
}  # fmt: skip
# The same said of the person or animal, not of the hair.
HAIRED = HAIR_COLOURS | {"blond": ("dark-haired", "red-haired"), "blonde": ("dark-haired", "red-haired")}
# Nouns that the colour before them names as a kind ("white wine") or with which it is said as a matter of course.
COLOURED_KINDS = _words(
    "wine bean beans board tea sugar chocolate house pepper peppers rice snow juice belt tape bear bears bus box hole "
    "panda whale head eye line card market widow pudding onion onions grape grapes cabbage lantern envelope flag "
    "friday christmas power planet giant dwarf cross"
)

OPPOSITES = {
    "big": "small", "large": "small", "huge": "tiny", "giant": "tiny", "enormous": "tiny", "small": "large",
    "little": "big", "tiny": "huge", "tall": "short", "long": "short", "short": "long", "wide": "narrow",
    "narrow": "wide", "thick": "thin", "thin": "thick", "fat": "thin", "skinny": "fat", "chubby": "skinny",
    "open": "closed", "closed": "open", "full": "empty", "empty": "full", "clean": "dirty", "dirty": "clean",
    "wet": "dry", "dry": "wet", "hot": "cold", "cold": "hot", "dark": "bright", "bright": "dark", "happy": "sad",
    "sad": "happy", "smiling": "crying", "laughing": "crying", "crying": "laughing", "frowning": "smiling",
    "sunny": "rainy", "cloudy": "sunny", "rainy": "sunny", "round": "square", "square": "round", "striped": "spotted",
    "spotted": "striped", "curly": "straight", "smooth": "rough", "rough": "smooth",
    "ripe": "unripe", "cooked": "raw", "raw": "cooked", "crowded": "deserted", "indoor": "outdoor",
    "outdoor": "indoor", "modern": "ancient", "ancient": "modern", "broken": "intact", "shiny": "dull",
    "shallow": "deep", "fresh": "rotten", "upper": "lower", "lower": "upper", "old": "new", "new": "old",
    "young": "old", "elderly": "young", "older": "younger", "younger": "older",
}  # fmt: skip
# What these describe is a living thing: it is not new but young, not long but tall, and no size is said of it.
OPPOSITES_OF_THE_LIVING = OPPOSITES | {"old": "young", "short": "tall"}
SIZES = _words("big large huge giant enormous small little tiny")
AGES = _words("old new young elderly older younger")
CHILDREN = _words("boy boys girl girls child children kid kids baby babies toddler son daughter")
# Adjective and noun that are one thing together.
SET_PHRASES = frozenset({
    ("hot", "dog"), ("hot", "dogs"), ("hot", "balloon"), ("hot", "air"), ("hot", "chocolate"), ("hot", "tub"),
    ("hot", "sauce"), ("full", "moon"), ("full", "size"), ("little", "bit"), ("open", "air"), ("open", "field"),
    ("dark", "hair"), ("teddy", "bear"), ("giant", "panda"), ("short", "sleeves"), ("large", "group"),
    ("small", "group"), ("large", "crowd"), ("large", "number"), ("big", "ben"), ("long", "time"), ("dry", "erase"),
    ("wet", "suit"), ("new", "york"), ("new", "year"), ("square", "feet"), ("square", "root"), ("rough", "play"),
    ("open", "hands"), ("smiling", "eyes"), ("square", "cap"), ("old", "fashioned"), ("old", "fashion"),
    ("little", "league"), ("wet", "suits"), ("hot", "plate"), ("little", "finger"), ("empty", "nest"),
})  # fmt: skip
MATERIALS = {
    "wooden": ("metal", "plastic", "stone"), "metal": ("wooden", "plastic"), "metallic": ("wooden",),
    "plastic": ("wooden", "metal"), "brick": ("wooden", "glass"), "stone": ("wooden", "metal"), "leather": ("plastic",),
    "glass": ("wooden", "metal"), "concrete": ("wooden",), "marble": ("wooden",), "cardboard": ("metal", "wooden"),
    "woolen": ("leather",), "woollen": ("leather",), "straw": ("leather",), "tiled": ("carpeted",),
    "grassy": ("sandy", "snowy"), "sandy": ("grassy",), "dusty": ("snowy",),
}  # fmt: skip
# Two to twelve; a picture of more also shows fewer, so numbers only grow.
NUMBERS = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

GENDER = {
    "man": "woman", "men": "women", "boy": "girl", "boys": "girls", "male": "female", "males": "females",
    "father": "mother", "fathers": "mothers", "dad": "mom", "daddy": "mommy", "son": "daughter", "sons": "daughters",
    "brother": "sister", "brothers": "sisters", "husband": "wife", "king": "queen", "prince": "princess",
    "grandfather": "grandmother", "grandpa": "grandma", "uncle": "aunt", "nephew": "niece", "gentleman": "lady",
    "gentlemen": "ladies", "waiter": "waitress", "waiters": "waitresses", "businessman": "businesswoman",
    "businessmen": "businesswomen", "policeman": "policewoman", "policemen": "policewomen", "fireman": "firewoman",
    "cowboy": "cowgirl", "cowboys": "cowgirls", "groom": "bride", "merman": "mermaid", "schoolboy": "schoolgirl",
    "snowman": "snowwoman", "superhero": "superheroine", "actor": "actress", "salesman": "saleswoman",
    "sportsman": "sportswoman", "he": "she", "himself": "herself",
}  # fmt: skip
GENDER |= {other: word for word, other in GENDER.items()}
GENDER |= {"guy": "woman", "guys": "women", "lady": "man", "ladies": "men", "mum": "dad", "mummy": "daddy"}
# By part of speech: 'his' before a noun is 'her', alone 'hers'.
PRONOUNS = {
    ("his", "PRP$"): "her", ("his", "PRP"): "hers", ("her", "PRP$"): "his", ("her", "PRP"): "him",
    ("him", "PRP"): "her", ("hers", "PRP"): "his",
}  # fmt: skip
FEMALE = _words(
    "woman women girl girls female females mother mothers mom mommy mum mummy daughter daughters sister sisters wife "
    "queen princess grandmother grandma aunt niece lady ladies waitress waitresses businesswoman businesswomen "
    "policewoman policewomen firewoman cowgirl cowgirls bride mermaid schoolgirl snowwoman superheroine actress "
    "saleswoman sportswoman she her hers herself"
)
GENDERED = FEMALE | set(GENDER) | {word for word, _ in PRONOUNS}
# Words that these make part of a name: "king penguin", "queen bed", "lady bug".
GENDER_NAMES = _words("king queen lady prince princess")

# Several words first: the longest that fits is taken.
RELATIONS = {
    "to the left of": "to the right of", "to the right of": "to the left of", "on the left of": "on the right of",
    "on the right of": "on the left of", "on the left side": "on the right side",
    "on the right side": "on the left side", "on the left": "on the right", "on the right": "on the left",
    "left of": "right of", "right of": "left of", "in front of": "behind", "behind": "in front of",
    "on top of": "underneath", "in back of": "in front of", "at the top of": "at the bottom of",
    "at the bottom of": "at the top of", "above": "below", "below": "above", "under": "on top of",
    "underneath": "on top of", "beneath": "on top of", "inside of": "outside of", "outside of": "inside of",
    "inside": "outside", "outside": "inside", "out of": "into", "into": "out of", "onto": "off", "before": "after",
    "after": "before", "next to": "far away from", "beside": "far away from", "close to": "far away from",
    "near": "far away from",
}  # fmt: skip
SIDES = {"left": "right", "right": "left", "front": "back", "back": "front"}
SIDED = _words("hand arm leg foot ear eye side wing paw shoulder knee wheel door seat row yard turn arrow lane")
# 'up' and 'down' change places after these only: "picking up" and "lying down" have no other direction, and a bus that
# drives down a street also drives up it.
MOVING = _words("climb look point fly ski face jump hike head crawl roll slide")
# What something on it could as well be under.
SURFACES = _words(
    "table desk bed chair bench couch sofa shelf counter car truck bridge tree umbrella blanket stool platform roof "
    "rock branch mat rug pillow cushion tablecloth armchair"
)

# After these 'after' names what is wanted: 'going after the ball'.
PURSUING = _words("go look run take name chase come reach ask")
# Before these 'without' is no English: 'without many windows'.
QUANTIFIERS = _words(
    "many several other various few multiple different much more most same lots plenty some all each both no any "
    "another enough half numerous such"
)

# Heads of phrases that name a part, place or amount and cannot change places with a thing.
PARTS = _words(
    "front back left right top bottom side sides middle center centre end edge corner background foreground group pair "
    "couple bunch lot lots number variety kind type sort piece pieces slice slices picture photo photograph image view "
    "close set row rows line stack pile day night time part way distance air something someone one ones other others "
    "it them him her he she they that which who what there this these those each another home work order use "
    "hair skin tone hand hands head face eyes mouth nose leg legs arm arms foot feet tail"
)
# Prepositions that mean another thing the other way round.
ASYMMETRIC = _words(
    "on in under over above below behind inside into onto beneath underneath atop through at across toward towards off "
    "outside"
)
# Verbs whose subject and object may change places without a change of meaning, or that need none.
SYMMETRIC = _words("meet marry face resemble join touch be have include contain feature kiss hug")

PEOPLE = _words(
    "person people man men woman women boy boys girl girls child children kid kids baby babies toddler player players "
    "guy guys lady ladies skier surfer rider skateboarder adult adults couple family student students teacher friend "
    "friends princess prince king queen worker workers chef farmer dancer singer"
)
LIVING = PEOPLE | _words(
    "dog dogs cat cats puppy puppies kitten kittens horse horses cow cows sheep elephant elephants giraffe giraffes "
    "zebra zebras bear bears bird birds lion tiger monkey rabbit mouse rat fish fox wolf deer goat pig"
)

__all__ = [name for name in dir() if name.isupper()]
