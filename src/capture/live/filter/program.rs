//! A classic BPF program, written forward with labels. Every conditional jump goes over the next instruction or into it, and only unconditional jumps,
//! which have 32 bits, go far: so all of them fit, however many ports there are.

use crate::sys::packet::Instruction;

/// What is loaded into A. Offsets count from X.
#[derive(Clone, Copy)]
pub(super) enum Load {
    Octet(u32),
    Short(u32),
    Long(u32),
    /// Who the frame is for, or that this host sent it.
    PacketType,
}

/// How A is held against a constant.
#[derive(Clone, Copy)]
pub(super) enum Test {
    Equal,
    AtLeast,
    AnyBit,
}

/// Where to go on.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Pass,
    Drop,
    To(Label),
}

/// A place further down.
#[derive(Clone, Copy)]
pub(super) struct Label(usize);

pub(super) struct Program {
    code: Vec<Instruction>,
    /// Where each label stands.
    labels: Vec<Option<usize>>,
    /// Unconditional jumps, by place, with their label.
    jumps: Vec<(usize, Label)>,
    snap: u32,
}

impl Program {
    /// One that keeps so many octets of what passes.
    pub(super) fn new(snap: u32) -> Self {
        Self {
            code: Vec::new(),
            labels: Vec::new(),
            jumps: Vec::new(),
            snap,
        }
    }

    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// The label means what comes next.
    pub(super) fn place(&mut self, label: Label) {
        if let Some(place) = self.labels.get_mut(label.0) {
            *place = Some(self.code.len());
        }
    }

    pub(super) fn load(&mut self, what: Load) {
        match what {
            Load::Long(k) => self.push(LD_IND, k),
            Load::Short(k) => self.push(LD_IND | HALF, k),
            Load::Octet(k) => self.push(LD_IND | BYTE, k),
            Load::PacketType => self.push(LD_ABS, ANCILLARY + PACKET_TYPE),
        }
    }

    pub(super) fn when(&mut self, test: Test, k: u32, target: Target) {
        let code = match test {
            Test::Equal => JEQ,
            Test::AtLeast => JGE,
            Test::AnyBit => JSET,
        };
        self.code.push(Instruction {
            code,
            jt: 0,
            jf: 1,
            k,
        });
        self.go(target);
    }

    pub(super) fn go(&mut self, target: Target) {
        match target {
            Target::Pass => self.push(RET, self.snap),
            Target::Drop => self.push(RET, 0),
            Target::To(label) => {
                self.jumps.push((self.code.len(), label));
                self.push(JA, 0);
            }
        }
    }

    pub(super) fn set_x(&mut self, k: u32) {
        self.push(LDX_IMM, k);
    }

    /// X goes on by so many octets; A is lost.
    pub(super) fn advance(&mut self, k: u32) {
        self.push(TXA, 0);
        self.push(ADD, k);
        self.push(TAX, 0);
    }

    pub(super) fn a_to_x(&mut self) {
        self.push(TAX, 0);
    }

    pub(super) fn add_x(&mut self) {
        self.push(ADD | OPERAND_X, 0);
    }

    pub(super) fn and(&mut self, k: u32) {
        self.push(AND, k);
    }

    pub(super) fn shift_left(&mut self, k: u32) {
        self.push(LSH, k);
    }

    pub(super) fn shift_right(&mut self, k: u32) {
        self.push(RSH, k);
    }

    /// A is kept.
    pub(super) fn store(&mut self) {
        self.push(ST, 0);
    }

    /// What was kept comes back into A.
    pub(super) fn recall(&mut self) {
        self.push(LD_MEM, 0);
    }

    pub(super) fn finish(mut self) -> Vec<Instruction> {
        for (at, label) in &self.jumps {
            let place = self.labels.get(label.0).copied().flatten();
            // A jump counts from the instruction behind it. One without a place ahead would be a defect of ours: it leads to the end, which
            // the kernel refuses, rather than somewhere.
            let over = place.and_then(|p| p.checked_sub(at + 1));
            if let Some(jump) = self.code.get_mut(*at) {
                jump.k = over.map_or(u32::MAX, |n| u32::try_from(n).unwrap_or(u32::MAX));
            }
        }
        self.code
    }

    fn push(&mut self, code: u16, k: u32) {
        self.code.push(Instruction {
            code,
            jt: 0,
            jf: 0,
            k,
        });
    }
}

// Numbers of `linux/bpf_common.h` and `linux/filter.h`.
const LD_ABS: u16 = 0x20;
const LD_IND: u16 = 0x40;
const LD_MEM: u16 = 0x60;
const LDX_IMM: u16 = 0x01;
const HALF: u16 = 0x08;
const BYTE: u16 = 0x10;
const ST: u16 = 0x02;
const ADD: u16 = 0x04;
const AND: u16 = 0x54;
const LSH: u16 = 0x64;
const RSH: u16 = 0x74;
const OPERAND_X: u16 = 0x08;
const JA: u16 = 0x05;
const JEQ: u16 = 0x15;
const JGE: u16 = 0x35;
const JSET: u16 = 0x45;
const RET: u16 = 0x06;
const TAX: u16 = 0x07;
const TXA: u16 = 0x87;
/// `SKF_AD_OFF`: what stands beside a frame is "loaded" from here on.
const ANCILLARY: u32 = 0xffff_f000;
/// `SKF_AD_PKTTYPE`.
const PACKET_TYPE: u32 = 4;
