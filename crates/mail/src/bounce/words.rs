//! What servers say, and what they mean by it: a table to read and to extend.
//!
//! Words are in lower case and found anywhere. The first reason of which a word is found counts:
//! what is about this mail, its sender or the moment stands before what is about the address,
//! because servers that refuse mail for such a reason like to say that the user is unknown as well.

use super::Class;

/// Why a mail did not arrive.
#[derive(Debug)]
pub(super) struct Reason {
    pub(super) name: &'static str,
    pub(super) class: Class,
    /// One after another, between bars.
    words: &'static str,
}

impl Reason {
    pub(super) fn words(&self) -> impl Iterator<Item = &'static str> {
        self.words.split('|').map(str::trim)
    }
}

/// The surest first.
pub(super) const REASONS: &[Reason] = &[
    Reason {
        name: "sender refused",
        class: Class::Soft,
        words: "may not have permission | not have permission to post | 權限 | 权限 | 権限がありません",
    },
    Reason {
        name: "user unknown",
        class: Class::Hard,
        words: "not listed in domino | not listed in public | invalid final delivery userid",
    },
    Reason {
        name: "no mail there",
        class: Class::Hard,
        words: "find a mail exchanger | no mx record found | may not exist | \
            unknown or illegal alias | other recipients in the same domain",
    },
    Reason {
        name: "the receiving system",
        class: Class::Soft,
        words: "procmail | couldn't create | can't create | service unavailable | \
            service currently unavailable | malformed or unexpected | find a gateway",
    },
    Reason {
        name: "full",
        class: Class::Soft,
        words: "mailbox full | mailbox is full | mailbox size limit | exceeded storage | \
            exceeds allowed | out of storage | storage limit | mailfolder is full | \
            inbox is full | user is over | not enough storage | not enough disk space | \
            insufficient system storage | insufficient disk | storage space | too full | \
            over the maximum allowed | mailbox has exceeded | no space left | mailbox exceeds | \
            would exceed | maximum mailbox size | out of disk space | mailbox_full | quota | \
            exceeding its mailbox | space has been used up | not have enough space | \
            too many messages on the server | full mailbox | too much mail data | \
            mailbox has reached | postfach ist voll | postfach voll | mailbox vol | \
            boîte pleine | boite pleine | destinataire pleine | lettres pleine | buzón lleno | \
            casilla llena | caixa cheia | caixa postal cheia | casella piena | ящик переполнен | \
            一杯のため | いっぱい | 容量を超え | 邮箱已满 | 空间不足",
    },
    Reason {
        name: "sender not authenticated",
        class: Class::Soft,
        words: "dmarc | spf check | spf fail | spf validation | dkim | sender policy framework | \
            unauthenticated | not authenticated | authentication required | spf record | \
            authentication failed | authentication-results | relay access denied | \
            relaying denied | relay not permitted | not permitted to relay | unable to relay | \
            relaying prohibited | not allowed to relay | relay denied | sender id | \
            no relaying | cannot relay | we do not relay | relaying not allowed | spf:",
    },
    Reason {
        name: "reputation",
        class: Class::Soft,
        words: "spamhaus | spamcop | blacklist | black list | blocklist | block list | blocked | \
            rbl | dnsbl | reputation | listed in | listed at | listed by | ptr | reverse dns | \
            rdns | reverse lookup | helo | greylist | graylist | banned | your ip | \
            client host rejected | connection refused by | client address | ip address | \
            denylist | your host | fix reverse | resolve your | access not allowed from",
    },
    Reason {
        name: "content",
        class: Class::Soft,
        words: "spam | virus | junk | unsolicited | malware | infected | content reject | \
            message content | message rejected | attachment | rejected by policy | \
            policy reason | administrative prohibition | administratively prohibited | \
            not accepted for policy | local policy | security polic | phish | suspicious | \
            bulk mail | not compliant | rfc 5322 | rfc5322 | rfc 2822 | message refused | \
            message filtered | refused by filter | prohibited by | violates | violation | \
            due to policy | message too large | too big | size exceeds | exceeds the maximum | \
            exceeds size | message size | larger than | exceeds a fixed | size limit | header | \
            multiple from | bare lf | loop | too many hops | hop count",
    },
    Reason {
        name: "slow down",
        class: Class::Soft,
        words: "too many | rate limit | ratelimit | throttl | try again later | too fast | \
            too much mail | too often | frequency | temporarily deferred | exceeded the rate | \
            concurren | receiving mail at a rate | receiving mail too",
    },
    Reason {
        name: "sender refused",
        class: Class::Soft,
        words: "sender rejected | sender verify | sender denied | invalid sender | bad sender | \
            sender domain | domain of sender | return path | from address | mail from | \
            sender was rejected | access denied by sender | envelope sender | backscatter | \
            not authorized to send | sender is not | must have a valid | sender address | \
            you are not allowed | permission to | not permitted | sender's domain",
    },
    Reason {
        name: "refused by the person",
        class: Class::Soft,
        words: "account is protected by | has restricted | not accepting any mail | \
            due to user rules | refuse to receive | refuses to receive | \
            only accepting mail from | only accepts mail from | recipient preferences | \
            user reject | blocked by the recipient",
    },
    Reason {
        name: "account suspended",
        class: Class::Soft,
        words: "suspend | account disabled | mailbox disabled | inactive | account is locked | \
            temporarily disabled | mailbox unavailable or access denied | currently disabled | \
            has been disabled | not active | mailbox temporarily | blocked due to inactivity | \
            deactivated | is disabled | discontinued | archivee | is terminated | is frozen | \
            account locked | account has been locked | receiving disabled",
    },
    Reason {
        name: "moved",
        class: Class::Hard,
        words: "has moved | has changed | no longer on server | new address | moved to | \
            has been replaced by",
    },
    Reason {
        name: "no mail there",
        class: Class::Hard,
        words: "null mx | nullmx | does not accept mail | does not accept email | \
            doesn't accept mail | name server: .: | smtp protocol returned a permanent error | \
            mx record is null | host does not accept | accepts no mail | \
            no mx found for domain | no smtp service",
    },
    Reason {
        name: "host unknown",
        class: Class::Hard,
        words: "host unknown | unknown host | host not found | domain not found | no such domain | \
            unrouteable address | unrouteable mail domain | unknown domain | \
            domain does not exist | domain name not found | name or service not known | \
            illegal host/domain | nxdomain | unable to find any mail | no mail exchanger | \
            bad destination host | domain must | all relevant mx records point | \
            no route to host found | domain doesn't exist | host does not exist | dns domain | \
            couldn't find any host | invalid domain | unroutable | domain is not | no a record | \
            unable to route | not a valid domain | name service error for | \
            server does not exist | no valid hosts | dns error | unknown recipient domain | \
            not reachable at this domain | recipient domain does not | recipient domain not | \
            dns server returned answer with no data | no matches to nameserver",
    },
    Reason {
        name: "user unknown",
        class: Class::Hard,
        words: "user unknown | unknown user | no such user | no such mailbox | no such recipient | \
            no such address | no such person | no such account | doesn't exist | not exist | \
            unknown recipient | recipient unknown | invalid recipient | invalid mailbox | \
            invalid address | invalid user | not found | unknown address | address unknown | \
            unknown or illegal | no mailbox | mailbox unknown | unknown mailbox | not a valid | \
            no longer available | no longer valid | no longer in use | no longer exists | \
            user doesn | doesn't have a | not have a | isn't a known | not known | \
            not our customer | unknown local | unknown account | unknown email | no account | \
            there is no one | undeliverable address | address error | bad address | \
            bad destination | bad mailbox | no recipients | no valid recipient | unavailable | \
            recipient rejected | address does not | recipnotfound | nosuchuser | mailbox does | \
            not a known user | is not a user | account closed | closed account | can't find | \
            cannot find | could not find | unable to find | no local mailbox | sorry, no | \
            recipient no longer | no user | is unknown | i couldn't find | not in route list | \
            invalid e-mail | address invalid | not recognized | unrecognized | \
            not a registered | non-existent | nonexistent | not local | user undefined | \
            recipient verification | badrecipient | bad recipient | not listed | unknown-user | \
            見つかりません | archived recipient | accept user | rejected recipients | \
            addresses were unknown | mailbox not present | missing home directory | \
            unknown virtual user | badrcptto | no longer accepts mail | unknown or invalid | \
            not our user | existiert nicht | empfänger unbekannt | unbekannter empfänger | \
            adressat unbekannt | nicht gefunden | inconnu | destinataire invalide | \
            introuvable | n'existe pas | no existe | desconocido | desconhecid | inexistente | \
            sconosciut | inesistente | non esiste | не существует | не найден | nie istnieje | \
            bestaat niet | onbekende gebruiker | 存在しません | 先不明 | 不明なユーザ | 不存在 | 找不到 | \
            couldn't be found | could not be found | cannot be found | \
            recipient address rejected: access denied",
    },
    Reason {
        name: "expired",
        class: Class::Soft,
        words: "timed out | timeout | time out | expired | delivery time | too long | in queue | \
            could not connect | temporar | retry time | not be reached | unreachable | network | \
            connection | no response | try again | deferred | delayed",
    },
];
