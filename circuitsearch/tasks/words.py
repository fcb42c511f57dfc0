"""The words that several tasks share.

Every list is longer than a task needs, because only words that are one token of the tokenizer are used.
"""

from __future__ import annotations


def split(text: str) -> list[str]:
    """Split a text into its words, so that a list of words can be written as text."""
    return text.split()


FEMALE = split(
    "Mary Anna Emma Sarah Laura Kate Lisa Julia Amy Rachel Alice Jane Susan Karen Linda Nancy Helen Ruth Maria Diana "
    "Claire Jennifer Jessica Amanda Michelle Nicole Stephanie Elizabeth Rebecca Melissa Angela Andrea Samantha Lauren "
    "Megan Rose Lucy Sophie Emily Hannah Katie Barbara Patricia Margaret Catherine Caroline Victoria Christine"
)
MALE = split(
    "John James Robert Michael David Richard Thomas Charles Daniel Matthew Mark Paul Steven Andrew Kevin Brian George "
    "Edward Ronald Timothy Jason Jeffrey Ryan Jacob Gary Nicholas Eric Jonathan Stephen Larry Justin Scott Brandon "
    "Benjamin Samuel Gregory Frank Patrick Jack Peter Henry Adam Simon Arthur Tom Luke Martin Harry"
)
NAMES = [name for pair in zip(FEMALE, MALE, strict=True) for name in pair]
MORE_NAMES = split(
    "Grace William Olivia Joseph Sophia Christopher Isabella Anthony Ella Donald Molly Kenneth Abigail Joshua Eva "
    "Dennis Eleanor Jerry Martha Alexander Dorothy Tyler Betty Aaron Sandra Nathan Carol Douglas Sharon Walter "
    "Kathleen Ethan Deborah Jeremy Janet Harold Judy Keith Joan Roger Judith Gerald Teresa Carl Jean Terry Katherine "
    "Sean Anne Noah Marie Jesse Louise Joe Julie Bryan Jill Billy Jenny Albert Jackie Bruce Erin Gabriel Kelly Alan "
    "Kim Logan Wendy Wayne Monica Roy Sally Ralph Rosa Eugene Naomi Vincent Nina Russell Mia Louis Maya Bobby Marion "
    "Philip Lynn Johnny Leslie Fred Joyce Howard Helena Ernest Harriet Todd Frances Craig Esther Clarence Ellen "
    "Victor Edith Leonard Clara Oscar Charlotte Hugh Beth Leo Ashley Oliver Alison Ian Alexandra Neil Agnes Colin Ada "
    "Graham Tara Stuart Miriam Alex Miranda Ben Eliza Sam Christina Steve Amelia Chris"
)
"""Names, of women and of men in turn, that the bundled model does not know."""

PLACES = split(
    "store park school office hospital restaurant station library garden market house church museum beach theater "
    "airport farm bank hotel bar lake bridge factory club"
)
OBJECTS = split(
    "ring book drink letter ball key phone bag flower basket map cup ticket lamp hat gift coat camera card box "
    "computer bottle pen necklace"
)

ROLES = split(
    "friend teacher doctor cook singer player leader writer driver lawyer neighbor student farmer painter worker "
    "speaker manager coach boss scientist partner judge guard pilot"
)
TRAITS = split(
    "great good kind funny smart brave quiet strong careful famous nice strict patient clever calm fair happy rich "
    "proud busy polite serious gentle lucky"
)

NOUNS = split(
    "key/keys cabinet/cabinets author/authors picture/pictures dog/dogs cat/cats boy/boys girl/girls "
    "teacher/teachers student/students book/books car/cars bird/birds horse/horses tree/trees doctor/doctors "
    "friend/friends painter/painters farmer/farmers pilot/pilots guard/guards parent/parents window/windows "
    "table/tables chair/chairs door/doors bridge/bridges lake/lakes truck/trucks boat/boats lamp/lamps box/boxes "
    "flower/flowers letter/letters phone/phones card/cards ticket/tickets cup/cups shop/shops house/houses "
    "driver/drivers player/players leader/leaders writer/writers garden/gardens bottle/bottles farm/farms "
    "engine/engines"
)
"""Singular and plural."""

EVENTS = split(
    "war project trip journey siege treaty voyage reign plague conflict campaign dispute rebellion empire dynasty "
    "famine drought festival marriage trial study crisis search strike tour program alliance expedition truce mission "
    "debate revolt"
)

ARGUMENTS = split(
    "load size files last name path key value mode text data index count width height color user group port host "
    "label score limit start stop step field table token model input output result order page line shape point "
    "source target level state status event filter format image video time date file node code test list item sort "
    "type rate range scale speed weight depth author box map card phone camera computer bridge station bank school "
    "hospital hotel library museum garden house ticket bag basket bottle lamp door student teacher player leader writer "
    "driver project trip search tour mission program country capital language currency doctor bird boat truck guard pilot "
    "crisis parent tree judge cup ring gift coat shop friend worker"
)
THINGS = split(
    "oil column piece crime population unit dark river song metal paper winter summer sugar stone cloud dream forest "
    "island music engine shadow silver glass cotton bread coffee planet desert ocean storm mountain horse window "
    "market winner soldier circle number letter hunter candle spring village signal button corner"
)


COUNTRIES = [
    tuple(row.split("/"))
    for row in split(
        "France/Paris/French/Europe/euro Germany/Berlin/German/Europe/euro Italy/Rome/Italian/Europe/euro "
        "Spain/Madrid/Spanish/Europe/euro Portugal/Lisbon/Portuguese/Europe/euro Greece/Athens/Greek/Europe/euro "
        "Austria/Vienna/German/Europe/euro Ireland/Dublin/English/Europe/euro "
        "Finland/Helsinki/Finnish/Europe/euro Norway/Oslo/Norwegian/Europe/krone "
        "Sweden/Stockholm/Swedish/Europe/krona Denmark/Copenhagen/Danish/Europe/krone "
        "Poland/Warsaw/Polish/Europe/zloty Hungary/Budapest/Hungarian/Europe/forint "
        "Romania/Bucharest/Romanian/Europe/leu Croatia/Zagreb/Croatian/Europe/euro "
        "Serbia/Belgrade/Serbian/Europe/dinar Ukraine/Kyiv/Ukrainian/Europe/hryvnia "
        "Russia/Moscow/Russian/Europe/ruble Britain/London/English/Europe/pound Turkey/Ankara/Turkish/Asia/lira "
        "Japan/Tokyo/Japanese/Asia/yen China/Beijing/Chinese/Asia/yuan Thailand/Bangkok/Thai/Asia/baht "
        "Vietnam/Hanoi/Vietnamese/Asia/dong Pakistan/Islamabad/Urdu/Asia/rupee Nepal/Kathmandu/Nepali/Asia/rupee "
        "Indonesia/Jakarta/Indonesian/Asia/rupiah Bangladesh/Dhaka/Bengali/Asia/taka "
        "Iran/Tehran/Persian/Asia/rial Iraq/Baghdad/Arabic/Asia/dinar Syria/Damascus/Arabic/Asia/pound "
        "Lebanon/Beirut/Arabic/Asia/pound Jordan/Amman/Arabic/Asia/dinar Qatar/Doha/Arabic/Asia/riyal "
        "Egypt/Cairo/Arabic/Africa/pound Morocco/Rabat/Arabic/Africa/dirham Tunisia/Tunis/Arabic/Africa/dinar "
        "Algeria/Algiers/Arabic/Africa/dinar Libya/Tripoli/Arabic/Africa/dinar "
        "Sudan/Khartoum/Arabic/Africa/pound Kenya/Nairobi/Swahili/Africa/shilling "
        "Uganda/Kampala/English/Africa/shilling Ghana/Accra/English/Africa/cedi "
        "Nigeria/Abuja/English/Africa/naira Senegal/Dakar/French/Africa/franc "
        "Angola/Luanda/Portuguese/Africa/kwanza Brazil/Brasilia/Portuguese/America/real "
        "Chile/Santiago/Spanish/America/peso Peru/Lima/Spanish/America/sol Colombia/Bogota/Spanish/America/peso "
        "Uruguay/Montevideo/Spanish/America/peso Cuba/Havana/Spanish/America/peso "
        "Canada/Ottawa/English/America/dollar Jamaica/Kingston/English/America/dollar "
        "Australia/Canberra/English/Oceania/dollar"
    )
]
"""Country, capital, main language, continent, currency."""

MORE_COUNTRIES = [
    tuple(row.split("/"))
    for row in split(
        "India/Delhi/Hindi Korea/Seoul/Korean Israel/Jerusalem/Hebrew "
        "England/London/English Scotland/Edinburgh/English "
        "Switzerland/Bern/German Iceland/Reykjavik/Icelandic "
        "Bulgaria/Sofia/Bulgarian Albania/Tirana/Albanian Estonia/Tallinn/Estonian "
        "Latvia/Riga/Latvian Lithuania/Vilnius/Lithuanian Slovakia/Bratislava/Slovak "
        "Slovenia/Ljubljana/Slovene Malta/Valletta/Maltese Armenia/Yerevan/Armenian "
        "Afghanistan/Kabul/Pashto Oman/Muscat/Arabic Bahrain/Manama/Arabic "
        "Yemen/Sanaa/Arabic Kazakhstan/Astana/Kazakh Zimbabwe/Harare/English "
        "Zambia/Lusaka/English Namibia/Windhoek/English "
        "Cameroon/Yaounde/French Mali/Bamako/French Niger/Niamey/French "
        "Congo/Kinshasa/French Mozambique/Maputo/Portuguese "
        "Somalia/Mogadishu/Somali Venezuela/Caracas/Spanish "
        "Ecuador/Quito/Spanish Paraguay/Asuncion/Spanish "
        "Nicaragua/Managua/Spanish Honduras/Tegucigalpa/Spanish"
    )
]
"""Country, capital and main language of countries that the bundled model does not know."""


ALL_COUNTRIES = [*COUNTRIES, *MORE_COUNTRIES]

SHARED = {
    "women": FEMALE,
    "men": MALE,
    "names": [*NAMES, *MORE_NAMES],
    "places": PLACES,
    "objects": OBJECTS,
    "roles": ROLES,
    "traits": TRAITS,
    "nouns": NOUNS,
    "events": EVENTS,
    "arguments": ARGUMENTS,
    "things": THINGS,
    "countries": ["/".join(row[:3]) for row in ALL_COUNTRIES],
}
"""The lists by the names that a task's TOML file uses."""
