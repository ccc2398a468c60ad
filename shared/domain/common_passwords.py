"""Passwords that are tried first: rules for what people do to reach twelve characters, and a list.

Lists of leaked passwords hold millions of entries; among those of twelve and more characters nearly all are a
known word made longer (`password1234`, `P@ssw0rd2024!`), a walk over the keyboard, a run of characters, or
something short repeated. The rules catch these without shipping the entries.
"""

import re
from typing import Final

# Words that, made longer with digits and signs only, are guessed first.
_WORD_LIST: Final = """
    abc abcd abcdef abcdefg abcdefgh access admin adminadmin administrator america andrew angel apple asdf
    asdfgh asdfghjkl ashley august autumn babygirl bailey banana baseball basketball batman beautiful
    buster butterfly changeme changemenow charlie cheese chelsea chocolate christmas company computer
    cookie corvette daniel december default diamond dolphin dragon eagles element england facebook family
    february ferrari flower football forever freedom friday friends ginger google guest guichet guitar
    hannah harley hello helloworld hockey hunter iloveyou internet january jasmine jennifer jessica jesus
    jordan joshua justin killer lakers letmein liverpool login london love lovelove lovely maggie manager
    manchester master matrix matthew mercedes michael michelle monday monkey monster mustang mypassword
    newpassword nicole ninja november october orange pass passw passwd password passwort patrick pepper
    phoenix picture pokemon princess purple qazwsx qazwsxedc qwer qwert qwerty qwertyui qwertyuiop rainbow
    ranger root samantha samsung scorpion secret september service shadow shopping silver slipknot snoopy
    soccer sophie spiderman spring starwars student summer sunday sunflower sunshine superman superstar
    support sweetheart system taylor temp temporary tennis test tester testing thisismypassword thomas
    ticket tickets tigger trustno twilight user vanessa victoria welcome welcometo whatever william winner
    winter yankees yellow zxcvbn zxcvbnm
"""

# Long ones that no rule finds.
_PHRASE_LIST: Final = """
    123456qwerty 12345qwert12 123qweasdzxc 1q2w3e4r5t6y 1q2w3e4r5t6y7u 1q2w3e4r5t6y7u8i 1qaz2wsx3edc
    1qaz2wsx3edc4rfv 1qazxsw23edc abracadabra1 administrador administration administrator administrator1
    adminpassword arsenal12345 asdfghjkl123 asdfjkl12345 babygirl1234 barcelona123 baseball1234
    basketball12 basketball123 batman123456 beautiful123 bestfriend12 bestfriends1 blackberry12
    blueberry123 breakingbad12 britneyspears butterfly123 california12 callofduty123 captainamerica
    changepassword chelseafc123 chicagobulls chocolatecake communication computer1234 congratulations
    construction counterstrike dallascowboys defaultpassword dragonballz1 dragonballz123 enterpassword
    finalfantasy football1234 foreverandever forgotpassword fuckyou12345 fuckyoubitch gameofthrones
    godisgood123 godislove1234 goodmorning1 goodnight123 grandtheftauto happybirthday happybirthday1
    happynewyear1 harleydavidson harrypotter1 harrypotter123 hellokitty12 hellokitty123 hellothere12
    helloworld12 highschool12 howareyou123 ihateyou1234 ilovechocolate ilovejesus123 iloveme12345
    ilovemyfamily iloveyou1234 iloveyoubaby iloveyouforever iloveyousomuch independence intelligence
    international internet1234 ironman12345 jesusislord1 jesuslovesme jonasbrothers justinbieber
    lamborghini lamborghini1 lavender1234 leagueoflegends letmeinnow12 letmeinplease letsgetitstarted
    linux1234567 liverpoolfc1 loginpassword lordoftherings losangeles12 lovemeforever loveyouforever
    manchestercity manchesterunited masterpassword maytheforcebewithyou mercedesbenz mercedesbenz1
    merrychristmas michaeljackson mickeymouse1 mickeymouse123 microsoft123 minecraft123 motherfucker
    motherfucker1 motorcycle12 mustanggt123 mybestfriend mylittlepony mypasswordis mysecretpassword
    neverforget1 nevermind123 newyorkcity1 newyorkyankees nintendo1234 nopassword12 onedirection
    opensesame12 openthedoor1 password4ever passwordispassword passwordpasswd peanutbutter peanutbutter1
    photographer photography1 playstation1 playstation2 playstation3 pleaseletmein pokemon12345
    princess1234 professional1 q1w2e3r4t5y6 q1w2e3r4t5y6u7 qazwsxedcrfv qazwsxedcrfvtgb qwe123qwe123
    qweasdzxc123 qweasdzxcrty qwertyasdfgh qwertyasdfghzxcvbn qwertyuiopasdf qwertyuiopasdfghjkl
    qwertyuiopasdfghjklzxcvbnm qwertyzxcvbn rainbow12345 realmadrid12 rememberme12 representative
    rootpassword sanfrancisco secretpassword skateboard12 snowboarding spiderman123 spongebob123
    starwars1234 strawberry12 strongpassword sunflower123 supercalifragilistic
    supercalifragilisticexpialidocious superman1234 sweetheart12 sweetheart123 systemadmin1 technology12
    temporarypassword temppassword testpassword thankyoujesus thequickbrownfox thequickbrownfoxjumps
    thisisapassword thisisasecret thisismypassword thunderbird1 thunderbirds tobeornottobe trustno112345
    trustnobody1 unitedstates university12 userpassword verysecretpassword volkswagen12 volleyball12
    watermelon12 whatthefuck1 windows12345 wonderful123 wonderwoman1 worldofwarcraft yourpassword
    zaq12wsxcde3 zaq1xsw2cde3 zxcvbnmasdfg zxcvbnmasdfghjkl
"""

_WORDS: Final = frozenset(_WORD_LIST.split())
_PHRASES: Final = frozenset(_PHRASE_LIST.split())

# Order on keyboards and in the alphabet, forwards; backwards is tried too.
_RUNS: Final = (
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
)
_SUBSTITUTES: Final = str.maketrans("@4301!5$7", "aaeoiisst")
_SAME_RUN_MIN: Final = 3


def is_common(password: str) -> bool:
    """Whether `password` is on the list, or a word, run or repetition made longer. Some 20 µs."""
    folded = password.casefold()
    letters = re.sub(r"[^a-z0-9]", "", folded)
    if folded in _PHRASES or letters in _PHRASES or _has_few_pieces(letters or folded):
        return True
    # `p@ssw0rd2024!`: what stands around the word goes first, or its digits would be read as letters
    core = re.sub(r"^[^a-z]+|[^a-z]+$", "", folded)
    return _is_word_made_longer(folded) or _is_word_made_longer(core.translate(_SUBSTITUTES))


def _is_word_made_longer(text: str) -> bool:
    """A known word, once or repeated, with nothing but digits and signs around and between."""
    words = {word for word in re.split(r"[^a-z]+", text) if word}
    return len(words) == 1 and _unit(words.pop()) in _WORDS


def _unit(text: str) -> str:
    """The shortest text whose repetition makes `text`: `passwordpassword` → `password`."""
    return text[: (text + text).find(text, 1)]


def _has_few_pieces(text: str) -> bool:
    """Made of at most two runs (`abcdef123456`), or of something of at most four characters repeated."""
    if len(set(text)) <= 1 or len(_unit(text)) * 3 <= len(text):
        return True
    rest = text
    for _ in range(2):
        rest = rest[_run_length(rest) :]
    return not rest


def _run_length(text: str) -> int:
    """How many characters at the start of `text` are equal, or follow each other in one of the runs."""
    length = len(text) - len(text.lstrip(text[:1]))
    longest = length if length >= _SAME_RUN_MIN else 0
    for run in _RUNS:
        for ordered in (run, run[::-1]):
            length = _SAME_RUN_MIN
            while length <= len(text) and text[:length] in ordered:
                longest = max(longest, length)
                length += 1
    return longest
