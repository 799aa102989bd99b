"""Language identification: correct where there is a result, and none where uncertain."""

# ruff: noqa: E501  (sentences are as long as they are)

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearsay.text import language_id
from hearsay.text.language_id import identify
from hearsay.text.languages import NAMES

FEW = ("en", "es", "fr", "hi", "it", "ja", "pt", "zh")
"""What Kokoro speaks."""

MANY = (*NAMES, "an", "eo", "ga", "gd", "ku", "ky", "om", "qu", "ti", "ug")
"""Rare languages besides, for which espeak-ng has voices."""

EVERYDAY = {
    "en": (
        "Hello.",
        "Hello!",
        "Hi.",
        "Yes.",
        "No.",
        "OK",
        "Thank you.",
        "Thanks a lot!",
        "Good morning.",
        "Good night.",
        "How are you?",
        "See you later.",
        "What time is it?",
        "I don't know.",
        "Where is the station?",
        "Please wait.",
        "Hello world",
        "Hello, world!",
        "Test",
        "This is a test.",
        "Testing, one, two, three.",
        "The quick brown fox jumps over the lazy dog.",
        "Welcome!",
        "Stop.",
        "Go on.",
        "Chapter one.",
        "Today is a wonderful day.",
        "I love you.",
        "Open the door.",
        "Turn off the light.",
        "Happy birthday!",
        "Once upon a time",
        "John Smith, 42 Baker Street",
    ),
    "de": (
        "Hallo.",
        "Ja.",
        "Nein.",
        "Danke.",
        "Guten Morgen.",
        "Guten Tag!",
        "Gute Nacht.",
        "Wie geht es dir?",
        "Bis später.",
        "Wie spät ist es?",
        "Ich weiß nicht.",
        "Wo ist der Bahnhof?",
        "Bitte warten.",
        "Hallo Welt",
        "Das ist ein Test.",
        "Willkommen!",
        "Ich liebe dich.",
        "Mach das Licht aus.",
        "Alles Gute zum Geburtstag!",
        "Es war einmal",
    ),
    "es": (
        "Hola.",
        "Sí.",
        "No.",
        "Gracias.",
        "Buenos días.",
        "Buenas noches.",
        "¿Cómo estás?",
        "Hasta luego.",
        "¿Qué hora es?",
        "No sé.",
        "¿Dónde está la estación?",
        "Por favor, espere.",
        "Hola mundo",
        "Esto es una prueba.",
        "¡Bienvenido!",
        "Te quiero.",
        "Abre la puerta.",
        "Feliz cumpleaños",
        "Había una vez",
    ),
    "fr": (
        "Bonjour.",
        "Oui.",
        "Non.",
        "Merci.",
        "Merci beaucoup.",
        "Bonne nuit.",
        "Comment ça va ?",
        "À bientôt.",
        "Quelle heure est-il ?",
        "Je ne sais pas.",
        "Où est la gare ?",
        "Attendez, s'il vous plaît.",
        "Bonjour le monde",
        "C'est un test.",
        "Bienvenue !",
        "Je t'aime.",
        "Ouvre la porte.",
        "Joyeux anniversaire",
        "Il était une fois",
    ),
    "it": (
        "Ciao.",
        "Sì.",
        "No.",
        "Grazie.",
        "Grazie mille.",
        "Buongiorno.",
        "Buona notte.",
        "Come stai?",
        "A dopo.",
        "Che ore sono?",
        "Non lo so.",
        "Dov'è la stazione?",
        "Aspetta, per favore.",
        "Ciao mondo",
        "Questo è un test.",
        "Benvenuto!",
        "Ti amo.",
        "Apri la porta.",
        "Buon compleanno",
        "C'era una volta",
    ),
}

SENTENCES = {
    "en": (
        "The committee will meet again next Tuesday to discuss the plans for the new library in the town centre.",
        "She packed her bag, closed the window and walked down to the harbour before anybody else was awake.",
        "Most people underestimate how much water a garden needs during the first weeks of a hot, dry summer.",
    ),
    "de": (
        "Der Ausschuss trifft sich am nächsten Dienstag wieder, um die Pläne für die neue Bibliothek zu besprechen.",
        "Sie packte ihre Tasche, schloss das Fenster und ging zum Hafen hinunter, bevor jemand anders wach war.",
        "Die meisten Leute unterschätzen, wie viel Wasser ein Garten in den ersten Wochen des Sommers braucht.",
    ),
    "es": (
        "El comité se reunirá de nuevo el próximo martes para hablar de los planes de la nueva biblioteca municipal.",
        "Hizo la maleta, cerró la ventana y bajó al puerto antes de que nadie más se hubiera despertado.",
        "La mayoría de la gente no sabe cuánta agua necesita un jardín durante las primeras semanas del verano.",
    ),
    "fr": (
        "Le comité se réunira de nouveau mardi prochain pour discuter des projets de la nouvelle bibliothèque.",
        "Elle fit son sac, ferma la fenêtre et descendit vers le port avant que les autres ne se réveillent.",
        "La plupart des gens ne savent pas combien d'eau il faut à un jardin pendant les premières semaines d'été.",
    ),
    "it": (
        "Il comitato si riunirà di nuovo martedì prossimo per discutere i progetti della nuova biblioteca.",
        "Fece la valigia, chiuse la finestra e scese al porto prima che qualcun altro si fosse svegliato.",
        "La maggior parte delle persone non sa quanta acqua serve a un giardino nelle prime settimane d'estate.",
    ),
    "pt": (
        "A comissão voltará a reunir-se na próxima terça-feira para discutir os planos da nova biblioteca.",
        "Ela fez a mala, fechou a janela e desceu até ao porto antes que mais alguém tivesse acordado.",
        "A maioria das pessoas não sabe quanta água um jardim precisa nas primeiras semanas do verão.",
    ),
    "nl": (
        "De commissie komt volgende week dinsdag weer bijeen om de plannen voor de nieuwe bibliotheek te bespreken.",
        "Ze pakte haar tas in, sloot het raam en liep naar de haven voordat iemand anders wakker was.",
        "De meeste mensen onderschatten hoeveel water een tuin nodig heeft in de eerste weken van de zomer.",
    ),
    "sv": (
        "Kommittén träffas igen på tisdag i nästa vecka för att diskutera planerna för det nya biblioteket.",
        "Hon packade sin väska, stängde fönstret och gick ner till hamnen innan någon annan hade vaknat.",
    ),
    "da": (
        "Udvalget mødes igen på tirsdag i næste uge for at drøfte planerne for det nye bibliotek i byen.",
        "Hun pakkede sin taske, lukkede vinduet og gik ned til havnen, før nogen andre var vågnet.",
    ),
    "no": (
        "Komiteen møtes igjen neste tirsdag for å diskutere planene for det nye biblioteket i sentrum.",
        "Hun pakket vesken sin, lukket vinduet og gikk ned til havnen før noen andre hadde våknet.",
    ),
    "fi": (
        "Komitea kokoontuu uudelleen ensi tiistaina keskustelemaan uuden kirjaston suunnitelmista.",
        "Hän pakkasi laukkunsa, sulki ikkunan ja käveli satamaan ennen kuin kukaan muu oli herännyt.",
    ),
    "pl": (
        "Komisja spotka się ponownie w przyszły wtorek, aby omówić plany budowy nowej biblioteki w centrum.",
        "Spakowała torbę, zamknęła okno i zeszła do portu, zanim ktokolwiek inny się obudził.",
    ),
    "cs": (
        "Výbor se znovu sejde příští úterý, aby projednal plány nové knihovny v centru města.",
        "Sbalila si tašku, zavřela okno a sešla do přístavu dřív, než se kdokoli jiný probudil.",
    ),
    "ru": (
        "Комитет снова соберётся в следующий вторник, чтобы обсудить планы новой библиотеки в центре города.",
        "Она собрала сумку, закрыла окно и спустилась в гавань, прежде чем кто-нибудь ещё проснулся.",
    ),
    "uk": (
        "Комітет знову збереться наступного вівторка, щоб обговорити плани нової бібліотеки в центрі міста.",
        "Вона зібрала сумку, зачинила вікно і спустилася в гавань, перш ніж хтось інший прокинувся.",
    ),
    "tr": (
        "Kurul, yeni kütüphanenin planlarını görüşmek için gelecek salı günü yeniden toplanacak.",
        "Çantasını topladı, pencereyi kapattı ve kimse uyanmadan limana doğru yürüdü.",
    ),
    "hu": ("A bizottság jövő kedden újra összeül, hogy megvitassa az új könyvtár terveit a városban.",),
    "ro": (
        "Comitetul se va întruni din nou marțea viitoare pentru a discuta planurile noii biblioteci din oraș.",
    ),
    "id": (
        "Panitia akan bertemu lagi hari Selasa depan untuk membahas rencana perpustakaan baru di pusat kota.",
    ),
    "vi": (
        "Ủy ban sẽ họp lại vào thứ ba tuần sau để bàn về kế hoạch xây dựng thư viện mới ở trung tâm thành phố.",
    ),
    "ja": ("委員会は来週の火曜日にもう一度集まり、町の中心に建てる新しい図書館の計画について話し合います。",),
    "ko": ("위원회는 다음 주 화요일에 다시 모여 시내에 새로 지을 도서관 계획을 논의할 예정입니다.",),
    "zh": (
        "委员会将于下周二再次开会，讨论在市中心建造新图书馆的计划。",
        "她收拾好行李，关上窗户，在别人醒来之前就走到了港口。",
    ),
    "ar": ("ستجتمع اللجنة مرة أخرى يوم الثلاثاء القادم لمناقشة خطط المكتبة الجديدة في وسط المدينة.",),
    "fa": ("کمیته سه‌شنبهٔ آینده دوباره تشکیل جلسه می‌دهد تا دربارهٔ برنامهٔ کتابخانهٔ جدید گفتگو کند.",),
    "ur": (
        "کمیٹی اگلے منگل کو دوبارہ ملاقات کرے گی تاکہ شہر کے مرکز میں نئی لائبریری کے منصوبوں پر بات کی جا سکے۔",
    ),
    "hi": ("समिति अगले मंगलवार को फिर से मिलेगी ताकि शहर के बीच में नए पुस्तकालय की योजना पर चर्चा हो सके।",),
    "mr": ("समिती पुढच्या मंगळवारी पुन्हा भेटेल आणि शहराच्या मध्यभागी नवीन ग्रंथालयाच्या योजनांवर चर्चा करेल.",),
    "el": (
        "Η επιτροπή θα συνεδριάσει ξανά την επόμενη Τρίτη για να συζητήσει τα σχέδια της νέας βιβλιοθήκης.",
    ),
    "he": ("הוועדה תיפגש שוב ביום שלישי הבא כדי לדון בתוכניות לספרייה החדשה במרכז העיר.",),
    "th": ("คณะกรรมการจะประชุมอีกครั้งในวันอังคารหน้าเพื่อหารือเกี่ยวกับแผนสร้างห้องสมุดใหม่",),
    "ka": ("კომიტეტი მომავალ სამშაბათს კვლავ შეიკრიბება ახალი ბიბლიოთეკის გეგმების განსახილველად.",),
    "bn": ("কমিটি আগামী মঙ্গলবার আবার বৈঠক করবে নতুন গ্রন্থাগারের পরিকল্পনা নিয়ে আলোচনা করার জন্য।",),
    "ta": ("புதிய நூலகத்தின் திட்டங்களைப் பற்றி விவாதிக்க குழு அடுத்த செவ்வாய்க்கிழமை மீண்டும் கூடும்.",),
}


@pytest.mark.parametrize("language", EVERYDAY)
@pytest.mark.parametrize("among", [MANY, FEW, tuple(EVERYDAY)], ids=["many", "few", "these"])
def test_what_is_said_every_day_is_told_or_left_open(language: str, among: tuple[str, ...]) -> None:
    answers = {text: identify(text, among) for text in EVERYDAY[language]}
    assert {text: code for text, code in answers.items() if code not in (language, None)} == {}


def test_most_short_sentences_are_told() -> None:
    answers = [(identify(text, NAMES), code) for code, texts in EVERYDAY.items() for text in texts]
    assert sum(found == code for found, code in answers) > len(answers) // 2


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_told(language: str) -> None:
    for text in SENTENCES[language]:
        assert identify(text, NAMES) == language, text


@pytest.mark.parametrize("language", SENTENCES)
def test_a_language_that_is_not_offered_is_taken_for_no_other(language: str) -> None:
    others = [code for code in FEW if code != language]
    for text in SENTENCES[language]:
        assert identify(text, others) in ((None, "hi") if language == "mr" else (None,)), text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("はい", "ja"),
        ("東京タワーへ行く", "ja"),
        ("你好", "zh"),
        ("他说の字很常见，所以这里也写一个。", "zh"),
        ("네", "ko"),
        ("Ναι", "el"),
        ("כן", "he"),
        ("ใช่", "th"),
        ("კი", "ka"),
        ("այո", "hy"),
        ("አዎ", "am"),
        ("ஆம்", "ta"),
        ("Привет, как дела?", "ru"),
        ("مرحبا", "ar"),
        ("नमस्ते", "hi"),
        ("๑๒๓", "th"),
        ("१२३", "hi"),
        ("١٢٣", "ar"),
    ],
)
def test_a_script_tells_by_itself(text: str, language: str) -> None:
    assert identify(text, NAMES) == language
    assert identify(text, ["en", "de"]) is None


@pytest.mark.parametrize(
    "text",
    ["", "1, 2, 3", "OK", "Hello.", "x" * 5000, "\ud800\ud800", "🎉🎉", "https://example.org/a?b=c"],
)
def test_what_tells_nothing_gets_no_answer(text: str) -> None:
    assert identify(text, NAMES) is None


def test_half_and_half_gets_no_answer() -> None:
    german, english = SENTENCES["de"], SENTENCES["en"]
    assert identify(" ".join(german), NAMES) == "de"
    assert identify(german[0] + german[1] + english[0] + english[1], NAMES) is None


@given(st.text(st.characters()), st.sets(st.sampled_from(sorted(NAMES))))
def test_any_text_gets_one_of_what_is_offered_or_nothing(text: str, among: set[str]) -> None:
    assert identify(text, among) in {*among, None}


def test_own_scripts_need_no_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_id, "_classifier", None)
    assert identify("안녕하세요", NAMES) == "ko"
    assert identify("Hi!", NAMES) is None


def test_threads_may_ask_at_once() -> None:
    texts = [(text, code) for code, several in SENTENCES.items() for text in several] * 5
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda each: identify(each[0], NAMES), texts))
    assert answers == [code for _, code in texts]


def test_an_answer_costs_little() -> None:
    text = " ".join(SENTENCES["de"])
    language_id.prepare()
    begin = time.process_time()
    for _ in range(50):
        identify(text, NAMES)
    assert (time.process_time() - begin) / 50 < 0.02  # a twentieth of it here


def test_nothing_is_loaded_before_it_is_needed() -> None:
    import subprocess

    code = (
        "import sys; from hearsay.text.language_id import identify; assert identify('Hm.', ['en']) is None; "
    )
    code += "assert 'py3langid' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
