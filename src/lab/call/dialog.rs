//! One leg of a call as a sequence of messages: INVITE, answers, ACK, CANCEL, BYE.

use crate::lab::message::{Draft, Start, Style};
use crate::lab::network::Path;
use crate::wire::Transport;

/// What becomes of a message on its way to the capture file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loss {
    /// All of it is captured.
    #[default]
    None,
    /// The tap loses its last fragment.
    LastFragment,
    /// The tap loses its first fragment.
    FirstFragment,
    /// The tap keeps so many octets of the frame.
    Snap(usize),
}

/// A message on the wire.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When its first octet passes the tap, nanoseconds since 1970.
    pub at: i64,
    /// Where it runs.
    pub path: Path,
    /// Whether it comes to us.
    pub to_us: bool,
    /// Its octets.
    pub bytes: Vec<u8>,
    /// The leg whose first INVITE it is.
    pub first_of: Option<usize>,
    /// What the tap loses of it.
    pub loss: Loss,
}

/// Everything that was sent, in no order yet.
#[derive(Debug, Default)]
pub struct Tape {
    /// The messages.
    pub sent: Vec<Sent>,
}

/// One leg: what stays the same in all its messages.
#[derive(Clone, Debug)]
pub struct Leg {
    /// Where it runs.
    pub path: Path,
    /// Whether the neighbour is the caller's side.
    pub they_call: bool,
    /// Request-URI.
    pub uri: String,
    /// From, without tag.
    pub from: String,
    /// To, without tag.
    pub to: String,
    /// Call-ID.
    pub call_id: String,
    /// Tag of From.
    pub from_tag: String,
    /// Tag of To.
    pub to_tag: String,
    /// Branch of the INVITE.
    pub branch: String,
    /// Via headers below the topmost.
    pub lower_vias: Vec<String>,
    /// User part of the caller's Contact, with its parameters.
    pub contact: String,
    /// CSeq of the INVITE.
    pub cseq: u32,
    /// Further headers of the INVITE, in order.
    pub extra: Vec<(&'static str, String)>,
    /// Headers at the end of the INVITE: Identity, mostly.
    pub identity: Vec<(&'static str, String)>,
    /// Body of the INVITE.
    pub offer: String,
    /// Body of the answer.
    pub answer: String,
    /// How the INVITE is written.
    pub style: Style,
    /// The tap sees only what the caller's side sends.
    pub one_way: bool,
    /// Why a CANCEL or BYE is sent, where it says so.
    pub reason: bool,
}

/// Q.850 cause of a CANCEL that says why: normal, unspecified.
pub const CANCEL_CAUSE: u8 = 31;
/// Q.850 cause of a BYE that says why: normal call clearing.
pub const BYE_CAUSE: u8 = 16;

impl Leg {
    /// The INVITE.
    pub fn invite(&self) -> Draft {
        let mut draft = self.request("INVITE", self.uri.clone(), self.cseq, &self.branch, false);
        draft.headers.push(("Contact", self.contact_of_caller()));
        draft.headers.extend(self.extra.iter().cloned());
        draft.headers.extend(self.identity.iter().cloned());
        draft
            .headers
            .push(("Content-Type", "application/sdp".to_owned()));
        draft.body.clone_from(&self.offer);
        draft
    }

    /// An INVITE within the dialog; it has no Identity.
    pub fn reinvite(&self) -> Draft {
        let branch = format!("{}r", self.branch);
        let mut draft = self.request("INVITE", self.uri.clone(), self.cseq + 3, &branch, true);
        draft.headers.push(("Contact", self.contact_of_caller()));
        draft
            .headers
            .push(("Content-Type", "application/sdp".to_owned()));
        draft.body.clone_from(&self.offer);
        draft
    }

    /// A request of the caller's side in the early dialog, PRACK or UPDATE.
    pub fn early(&self, method: &'static str) -> Draft {
        let (cseq, branch) = (
            self.cseq + u32::from(method == "UPDATE") + 1,
            format!("{}{method}", self.branch),
        );
        let mut draft = self.request(method, self.uri.clone(), cseq, &branch, true);
        if method == "PRACK" {
            draft
                .headers
                .push(("RAck", format!("1 {} INVITE", self.cseq)));
        } else {
            draft.headers.push(("Contact", self.contact_of_caller()));
            draft
                .headers
                .push(("Content-Type", "application/sdp".to_owned()));
            draft.body.clone_from(&self.offer);
        }
        draft
    }

    /// The answer to [`Leg::early`].
    pub fn early_ok(&self, method: &'static str) -> Draft {
        let cseq = self.cseq + u32::from(method == "UPDATE") + 1;
        self.response(200, method, cseq, &format!("{}{method}", self.branch), true)
    }

    /// A provisional answer that wants PRACK (RFC 3262).
    pub fn reliable(&self) -> Draft {
        let mut draft = self.answer(183);
        draft.headers.push(("Require", "100rel".to_owned()));
        draft.headers.push(("RSeq", "1".to_owned()));
        draft
    }

    /// The answer to [`Leg::reinvite`].
    pub fn reinvite_ok(&self) -> Draft {
        let branch = format!("{}r", self.branch);
        let mut draft = self.response(200, "INVITE", self.cseq + 3, &branch, true);
        draft.headers.push(("Contact", self.contact_of_called()));
        draft
            .headers
            .push(("Content-Type", "application/sdp".to_owned()));
        draft.body.clone_from(&self.answer);
        draft
    }

    /// The ACK to [`Leg::reinvite_ok`].
    pub fn reinvite_ack(&self) -> Draft {
        self.request(
            "ACK",
            self.uri.clone(),
            self.cseq + 3,
            &format!("{}ra", self.branch),
            true,
        )
    }

    /// An answer to the INVITE.
    pub fn answer(&self, code: u16) -> Draft {
        let mut draft = self.response(code, "INVITE", self.cseq, &self.branch, code > 100);
        match code {
            183 | 200 => {
                draft.headers.push(("Contact", self.contact_of_called()));
                draft.headers.push(("Content-Type", "application/sdp".to_owned()));
                draft.body.clone_from(&self.answer);
            }
            407 => draft.headers.push((
                "Proxy-Authenticate",
                format!("Digest realm=\"example-voice.example\", nonce=\"{}\", algorithm=MD5, qop=\"auth\"", self.to_tag),
            )),
            300..=399 => draft.headers.push(("Contact", format!("<{}>", self.uri))),
            404 => draft.headers.push(("Reason", "Q.850;cause=1;text=\"Unallocated number\"".to_owned())),
            486 => draft.headers.push(("Reason", "Q.850;cause=17;text=\"User busy\"".to_owned())),
            // RFC 9410: one value for each header that failed; here there is one at most.
            428 | 436..=438 => {
                let text = match code {
                    428 => "Use Identity Header",
                    436 => "Bad Identity Info",
                    437 => "Unsupported Credential",
                    _ => "Invalid Identity Header",
                };
                draft.headers.push(("Reason", format!("STIR ;cause={code} ;text=\"{text}\" ;ppi=\"..{}\"", self.to_tag)));
            }
            503 => draft.headers.push(("Reason", "Q.850;cause=34;text=\"No circuit available\"".to_owned())),
            _ => {}
        }
        draft
    }

    /// The ACK: to a 2xx a transaction of its own, to anything else part of the INVITE's (RFC 3261 §17.1.1.3).
    pub fn ack(&self, code: u16) -> Draft {
        if code < 300 {
            let branch = format!("{}a", self.branch);
            return self.request("ACK", self.uri.clone(), self.cseq, &branch, true);
        }
        self.request("ACK", self.uri.clone(), self.cseq, &self.branch, true)
    }

    /// The CANCEL.
    pub fn cancel(&self) -> Draft {
        let mut draft = self.request("CANCEL", self.uri.clone(), self.cseq, &self.branch, false);
        if self.reason {
            draft.headers.push((
                "Reason",
                format!("Q.850;cause={CANCEL_CAUSE};text=\"Normal, unspecified\""),
            ));
        }
        draft
    }

    /// The answer to the CANCEL.
    pub fn cancel_ok(&self) -> Draft {
        self.response(200, "CANCEL", self.cseq, &self.branch, true)
    }

    /// The BYE of either side.
    pub fn bye(&self, by_caller: bool) -> Draft {
        let branch = format!("{}b", self.branch);
        let why = self.reason.then(|| {
            (
                "Reason",
                format!("Q.850;cause={BYE_CAUSE};text=\"Normal call clearing\""),
            )
        });
        if by_caller {
            let mut draft = self.request("BYE", self.uri.clone(), self.cseq + 4, &branch, true);
            draft.headers.extend(why);
            return draft;
        }
        let uri = format!("sip:{}@{}", self.contact, self.caller());
        let mut draft = self.request("BYE", uri, 1, &branch, true);
        draft.headers.extend(why);
        for (name, value) in &mut draft.headers {
            match *name {
                "Via" => *value = via(&self.path, self.called(), &branch),
                "From" => *value = format!("{};tag={}", self.to, self.to_tag),
                "To" => *value = format!("{};tag={}", self.from, self.from_tag),
                _ => {}
            }
        }
        draft
    }

    /// The answer to [`Leg::bye`].
    pub fn bye_ok(&self, by_caller: bool) -> Draft {
        let mut draft = self.bye(by_caller);
        draft.start = Start::Response { code: 200 };
        draft
            .headers
            .retain(|(name, _)| !matches!(*name, "Max-Forwards" | "Reason"));
        draft
    }

    /// Puts a message on the tape; `by_caller` says which side sends it.
    pub fn send(&self, tape: &mut Tape, at: i64, by_caller: bool, draft: &Draft) {
        if self.one_way && !by_caller {
            return;
        }
        tape.sent.push(Sent {
            at,
            path: self.path,
            to_us: by_caller == self.they_call,
            bytes: draft.render(Style::Plain),
            first_of: None,
            loss: Loss::None,
        });
    }

    /// Puts the INVITE on the tape, in its own style.
    pub fn send_invite(&self, tape: &mut Tape, at: i64, first_of: Option<usize>, loss: Loss) {
        tape.sent.push(Sent {
            at,
            path: self.path,
            to_us: self.they_call,
            bytes: self.invite().render(self.style),
            first_of,
            loss,
        });
    }

    fn request(
        &self,
        method: &'static str,
        uri: String,
        cseq: u32,
        branch: &str,
        in_dialog: bool,
    ) -> Draft {
        let mut headers = vec![("Via", via(&self.path, self.caller(), branch))];
        if !in_dialog && method == "INVITE" {
            headers.extend(self.lower_vias.iter().map(|v| ("Via", v.clone())));
        }
        headers.push(("Max-Forwards", "68".to_owned()));
        headers.extend(self.dialog_headers(in_dialog));
        headers.push(("CSeq", format!("{cseq} {method}")));
        Draft {
            start: Start::Request { method, uri },
            headers,
            body: String::new(),
        }
    }

    fn response(&self, code: u16, method: &str, cseq: u32, branch: &str, with_tag: bool) -> Draft {
        let mut headers = vec![("Via", via(&self.path, self.caller(), branch))];
        if method == "INVITE" && cseq == self.cseq {
            headers.extend(self.lower_vias.iter().map(|v| ("Via", v.clone())));
        }
        headers.extend(self.dialog_headers(with_tag));
        headers.push(("CSeq", format!("{cseq} {method}")));
        Draft {
            start: Start::Response { code },
            headers,
            body: String::new(),
        }
    }

    fn dialog_headers(&self, with_tag: bool) -> [(&'static str, String); 3] {
        let to = if with_tag {
            format!("{};tag={}", self.to, self.to_tag)
        } else {
            self.to.clone()
        };
        [
            ("From", format!("{};tag={}", self.from, self.from_tag)),
            ("To", to),
            ("Call-ID", self.call_id.clone()),
        ]
    }

    fn contact_of_caller(&self) -> String {
        format!("<sip:{}@{}>", self.contact, self.caller())
    }

    fn contact_of_called(&self) -> String {
        format!("<sip:gw@{}>", self.called())
    }

    fn caller(&self) -> std::net::SocketAddr {
        if self.they_call {
            self.path.theirs
        } else {
            self.path.ours
        }
    }

    fn called(&self) -> std::net::SocketAddr {
        if self.they_call {
            self.path.ours
        } else {
            self.path.theirs
        }
    }
}

/// A Via value.
pub fn via(path: &Path, host: std::net::SocketAddr, branch: &str) -> String {
    let transport = match path.transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
        Transport::Ws => "WS",
        Transport::Wss => "WSS",
        Transport::Sctp => "SCTP",
    };
    format!("SIP/2.0/{transport} {host};branch={branch}")
}
