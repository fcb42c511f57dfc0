r"""Texts that break out of what they are put into, where that lets them: what a token, a task or a role may be called.

All of them are read back from every format in ``test_hostile.py``. ``alert``, ``PWNED`` and ``\write18`` stand for
what must not run.
"""

from __future__ import annotations

MARKUP = [
    "<b>bold</b>", "<i>", "</i>", "<", ">", "<>", "</", "/>", "<<", ">>", "<a", "a>", "< b >", "<p><p><p>", "</svg>",
    "</text></g></svg>", "</table>", "</td></tr>", "</title>", "</style>", "</textarea>", "</pre>", "<br/>", "<br>",
    "<TABLE><TR><TD>x</TD></TR></TABLE>", "<<TABLE>>", "<base href=//evil>", "<meta http-equiv=refresh content=0>",
    "<link rel=stylesheet href=//evil>", "<style>*{display:none}</style>", "<form action=//evil><input>",
    "<template><b>", "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<plaintext>", "<xmp>",
]  # fmt: skip
SCRIPTS = [
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<ScRiPt>alert(1)</sCrIpT>", "</script >",
    "<script src=//evil></script>", "<img src=x onerror=alert(1)>", "<img/src=x/onerror=alert(1)>",
    "<svg onload=alert(1)>", "<svg><script>alert(1)</script></svg>", "<body onload=alert(1)>",
    '"onmouseover="alert(1)', "'onmouseover='alert(1)", '" onfocus=alert(1) autofocus="', "'><svg/onload=alert(1)>",
    '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "JaVaScRiPt:alert(1)", "java\tscript:alert(1)",
    "data:text/html,<script>alert(1)</script>", "<a href='javascript:alert(1)'>x</a>", "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>", "<object data=data:text/html,x>", "<embed src=//evil>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>", "<animate onbegin=alert(1)>",
    "<foreignObject><script>alert(1)</script></foreignObject>", "<set attributeName=onload to=alert(1)>",
    "<use href='data:image/svg+xml,<svg onload=alert(1)>'/>", "<details open ontoggle=alert(1)>",
    "expression(alert(1))", "url(javascript:alert(1))", "';alert(1);'", '";alert(1);"', "\\';alert(1);//", "`${alert(1)}`",
    "${alert(1)}", "{{constructor.constructor('alert(1)')()}}", "{{7*7}}", "#{7*7}", "<%= 7*7 %>", "<?php echo 1 ?>",
    "<!--#exec cmd='ls'-->", "__proto__", "constructor", "toString", "hasOwnProperty",
]  # fmt: skip
XML = [
    "]]>", "<![CDATA[", "<![CDATA[x]]>", "]]]]><![CDATA[>", "<!--", "-->", "--!>", "--", "<!-- x --> y", "<?xml?>",
    "<?xml version='1.0'?>", "?>", "<!DOCTYPE x>", "<!DOCTYPE x [<!ENTITY a 'b'>]>&a;", "<!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "&xxe;", "%xxe;", "&", "&&", "&amp;", "&amp;amp;", "&lt;b&gt;", "&#60;script&#62;", "&#x3c;", "&#0;", "&#xD800;", "&nbsp;",
    "&quot;", "&apos;", "&copy", "&unknown;", "a&b", "AT&T", "xmlns:x='y'", "xml:space", "<x:y/>",
]  # fmt: skip
QUOTES = [
    "'", '"', "''", '""', "`", "``", "```", "'\"`", '"a" \'b\' `c`', "\\", "\\\\", "\\'", '\\"', "\\\\\"", "a\\", "\\n", "\\t",
    "\\u0041", "\\x41", "\\0", "\\N", "\\G", "\\l", "\\r", "‘a’", "“b”", "«c»", "„d“", "‹e›", "「f」", "´", "ʼ", "″", "＂", "＇",
]  # fmt: skip
TEX = [
    "\\input{/etc/passwd}", "\\input /etc/passwd", "\\write18{touch PWNED}", "\\immediate\\write18{touch PWNED}", "\\end{document}",
    "\\end{tikzpicture}", "\\def\\x{\\x}\\x", "\\csname end\\endcsname", "\\catcode`\\%=12", "\\loop\\iftrue\\repeat", "\\par",
    "\\\\", "$", "$$", "$x$", "$x_1^2$", "$\\frac{1}{2}$", "\\$", "\\(x\\)", "\\[x\\]", "#", "##", "#1", "%", "%%", "100%", "% x", "&x",
    "_", "a_b", "^", "a^b", "^^M", "^^5c", "^^41", "~", "{", "}", "{}", "}{", "{{", "}}", "{a", "a}", "\\{", "\\}", "--", "---", "?`", "!`",
    "<<", ">>", ",,", "fi fl ffi", "\\openin0=x", "\\special{x}", "\\directlua{os.execute('touch PWNED')}", "\\fi", "\\else", "\\iffalse",
]  # fmt: skip
DOT = [
    "digraph { a -> b }", "}", "a -> b", "a;b", "a:b", "a:n", "[label=x]", "a=b", "{rank=same}", "// x", "/* x */", "# x", "a|b", "<f0> a|<f1> b",
    "strict", "node", "edge", "graph", "subgraph", "URL=\"javascript:alert(1)\"", "\"]; evil [label=\"",
]  # fmt: skip
MERMAID = [
    "end", "flowchart", "click a alert", "click n0 call alert(1)", "%%{init: {'securityLevel': 'loose'}}%%", "%% x", "a-->b", "---", "--> x",
    "a[b]", "a((b))", "a{b}", "a|b|", ":::x", "#quot;", "#35;", "#x;", "style n0 fill:#f00;", "classDef x fill:#f00;", "linkStyle 0 x", "`md *b*`",
    "1. x", "- x", "+ x", "x\n  n0 --> n1", "\"]\n click n0 href \"javascript:alert(1)\"", "---\ntitle: x\n---", "fa:fa-car", "@{ shape: x }",
]  # fmt: skip
FORMATS = [
    "%s", "%d", "%n", "%(x)s", "%%", "%x%x%x", "{0}", "{x}", "{}", "{!r}", "{0.__class__}", "{:>9999999}", "$(touch PWNED)", "`touch PWNED`",
    "; touch PWNED", "| touch PWNED", "&& touch PWNED", "=1+1", "=cmd|' /C calc'!A0", "@SUM(1)", "' OR 1=1 --", "NaN", "null", "None", "true",
    "undefined", "-1", "1e999", "0x41", "[]", "[1, 2]", "{\"a\": 1}",
]  # fmt: skip
PATHS = [
    "../../etc/passwd", "..\\..\\windows", "/etc/passwd", "C:\\x", "\\\\server\\share", "~/x", "~root", "file:///etc/passwd", "CON", "NUL.txt", ".", "..",
    "a/b", "a//b", "./a", "-rf", "--help", "x\x00.svg", "http://evil/", "//evil",
]  # fmt: skip
SPACES = [
    "", " ", "  ", " a", "a ", "a  b", "\t", "\n", "\r", "\r\n", "\n\n", "a\tb", "a\nb", "a\rb", "a\r\nb", "\v", "\f", "\u00a0", "a\u00a0b",
    "\u2003", "\u3000", "\u2028", "\u2029", "a\u2028b", "a\u2029b", "\u0085", "a\u0085b", "\u1680", "\u202f",
]  # fmt: skip
DIRECTIONS = [
    "שלום", "مرحبا", "abc שלום def", "\u202e", "\u202eabc", "abc\u202egnp.exe", "\u202dabc\u202c", "\u2066abc\u2069", "\u2067abc", "\u2068",
    "\u200eabc", "\u200fabc", "\u061c", "\u202aa\u202bb\u202cc", "if (x) { \u2066// \u2069}", "١٢٣",
]  # fmt: skip
INVISIBLE = [
    "\u200b", "a\u200bb", "\u200c", "\u200d", "\u2060", "\ufeff", "\ufeffa", "\u00ad", "a\u00adb", "\u180e", "\u034f", "\u115f", "\u3164", "\ufe0f",
    "\u2061", "\U000e0041\U000e0042", "\U000e0001",
]  # fmt: skip
MARKS = [
    "e\u0301", "\u0301", "\u0301e", "Z\u0351\u036b\u0343", "a" + "\u0300" * 60, "a\u20dd", "\u0e33", "क्षि", "ก็", "é", "É ñ ü ç ő š", "Ġthe",
    "ĉ", "Ċ", "ﬁ", "İı", "ß", "ǆ",
]  # fmt: skip
EMOJI = [
    "😀", "👩‍👩‍👧‍👦", "👍🏽", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "🇪🇺", "❤️", "1️⃣", "👨🏿‍🚀", "🧑‍💻", "漢字", "こんにちは", "한국어", "Ελληνικά", "Привет", "𝔘𝔫𝔦𝔠𝔬𝔡𝔢", "𒀀", "\U0010ffff",
    "\U0001fffe", "\ufdd0", "\ue000", "\uffff", "\ufffe", "\ufffd", "∀x∈ℝ: x²≥0", "½", "①", "™",
]  # fmt: skip
CONTROLS = [chr(code) for code in (*range(0x00, 0x09), *range(0x0E, 0x20), *range(0x7F, 0x85), *range(0x86, 0xA0))]
CONTROLS += [
    "a\x00b",
    "\x00<script>",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x1b[2J",
    "a\x08\x08b",
    "\x7f",
    "\x9b31m",
]
SURROGATES = ["\ud800", "\udc00", "\udfff", "a\ud83d", "\ude00b", "\udc80\udcff", "\udcff<b>"]
LONG = [
    "x" * 20_000,
    "<" * 2_000,
    "\\" * 2_000,
    "word " * 2_000,
    "é" * 2_000,
    "\u202e" * 500,
    "&amp;" * 500,
    "{" * 1_000,
]

HOSTILE = list(
    dict.fromkeys(
        [
            *MARKUP, *SCRIPTS, *XML, *QUOTES, *TEX, *DOT, *MERMAID, *FORMATS, *PATHS, *SPACES, *DIRECTIONS, *INVISIBLE,
            *MARKS, *EMOJI, *CONTROLS, *SURROGATES, *LONG,
        ]
    )
)  # fmt: skip
