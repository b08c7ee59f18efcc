//! What the demo's people are called, and where they live and work.

/// First name, last name, and how both are spelled in an address.
pub(super) const NAMES: [(&str, &str, &str); 40] = [
    ("Ada", "Lovelace", "ada.lovelace"),
    ("Jürgen", "Weiß", "juergen.weiss"),
    ("Zoë", "Ångström", "zoe.angstrom"),
    ("Łukasz", "Żółkiewski", "lukasz.zolkiewski"),
    ("Dvořák", "Šťastný", "dvorak.stastny"),
    ("Ólafur", "Þórðarson", "olafur.thordarson"),
    ("Ngọc Ánh", "Nguyễn", "ngoc-anh.nguyen"),
    ("İbrahim", "Yıldız", "ibrahim.yildiz"),
    ("Ștefan", "Țurcanu", "stefan.turcanu"),
    ("José María", "Núñez", "jose.nunez"),
    ("João", "Conceição", "joao.conceicao"),
    ("Siobhán", "O'Sullivan", "siobhan.o'sullivan"),
    ("Robert \"Bob\"", "Tables", "bob.tables"),
    ("Anna-Lena", "von der Heide", "anna-lena.vonderheide"),
    // The same letters as in "Renée", with combining accents.
    ("Rene\u{301}e", "D’Arc", "renee.darc"),
    ("Ελένη", "Παπαδοπούλου", "eleni.papadopoulou"),
    ("Алексей", "Иванов", "aleksey.ivanov"),
    ("Олена", "Шевченко", "olena.shevchenko"),
    ("Ђорђе", "Љубић", "djordje.ljubic"),
    ("Արամ", "Խաչատրյան", "aram.khachatryan"),
    ("ნინო", "ბერიძე", "nino.beridze"),
    ("נועה", "כהן", "noa.cohen"),
    ("ליאור", "בן־דוד", "lior.bendavid"),
    ("فاطمة", "الزهراء", "fatima.alzahra"),
    ("محمد", "عبد الله", "mohammed.abdullah"),
    ("آرش", "کمانگیر", "arash.kamangir"),
    ("आरती", "शर्मा", "aarti.sharma"),
    ("রহিম", "উদ্দিন", "rahim.uddin"),
    ("தமிழ்ச்செல்வி", "முருகன்", "tamilselvi.murugan"),
    ("สมชาย", "ใจดี", "somchai.jaidee"),
    ("မောင်", "အောင်", "maung.aung"),
    ("ሰላም", "ተስፋዬ", "selam.tesfaye"),
    ("伟", "王", "wei.wang"),
    ("淑芬", "陳", "shufen.chen"),
    ("さくら", "田中", "sakura.tanaka"),
    ("タロウ", "ヤマダ", "taro.yamada"),
    ("민준", "김", "minjun.kim"),
    // A letter beyond the basic plane.
    ("𠮷", "野家", "yoshi.noya"),
    ("Kai 🌱", "Green", "kai.green"),
    ("M", "Q", "m.q"),
];

pub(super) const COMPANIES: [&str; 12] = [
    "Acme, Inc.",
    "Müller; Söhne & Töchter GmbH",
    "\"Quoted\" Goods Ltd",
    "株式会社サクラ",
    "Первая Компания",
    "Café Ñandú S.A.",
    "Nordlys\nShipping",
    "شركة النور",
    "Semi;colon;s",
    "Plain Partners",
    "L'Épicerie <Bio>",
    "",
];

pub(super) const CITIES: [&str; 10] = [
    "Wien",
    "København",
    "Łódź",
    "Αθήνα",
    "Київ",
    "القاهرة",
    "मुंबई",
    "東京",
    "서울",
    "São Paulo",
];

pub(super) const TIMEZONES: [&str; 6] = [
    "Europe/Vienna",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Tokyo",
    "Pacific/Auckland",
    "UTC",
];

pub(super) const LOCALES: [&str; 6] = ["de-AT", "en-US", "hi-IN", "ja", "en-NZ", "pt-BR"];

/// What people are on; the later ones are rarer.
pub(super) const PLANS: [&str; 10] = [
    "free", "free", "free", "free", "free", "free", "pro", "pro", "pro", "team",
];

pub(super) const STATUSES: [&str; 6] = ["new", "new", "contacted", "qualified", "customer", "lost"];

/// Reserved for examples (RFC 2606), so nobody is written to by mistake.
pub(super) const DOMAINS: [&str; 4] = [
    "clarion-demo.example",
    "mail.clarion-demo.example",
    "post.example",
    "people.example",
];
