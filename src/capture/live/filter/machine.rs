//! A classic BPF machine for the tests, by the Linux kernel's rules: a load beyond the frame ends the program with 0, jumps go forward only.

use crate::sys::packet::Instruction;

/// What stands beside a frame.
#[derive(Clone, Copy, Default)]
pub(super) struct Beside {
    pub packet_type: u32,
}

/// How many octets of the frame are kept; 0 drops it.
pub(super) fn run(program: &[Instruction], frame: &[u8], beside: Beside) -> u32 {
    let (mut a, mut x, mut pc) = (0u32, 0u32, 0usize);
    let mut memory = [0u32; 16];
    loop {
        let i = program[pc];
        pc += 1;
        let operand = if i.code & 0x08 == 0 { i.k } else { x };
        match i.code & 0x07 {
            // LD
            0 => {
                let size = match i.code & 0x18 {
                    0x00 => 4,
                    0x08 => 2,
                    0x10 => 1,
                    _ => panic!("size {:#x}", i.code),
                };
                a = match i.code & 0xe0 {
                    0x00 => i.k,
                    0x20 if i.k == 0xffff_f004 => beside.packet_type,
                    0x60 => memory[i.k as usize],
                    mode @ (0x20 | 0x40) => {
                        let at = i.k.wrapping_add(if mode == 0x40 { x } else { 0 }) as usize;
                        let Some(octets) = frame.get(at..at + size) else {
                            return 0;
                        };
                        octets.iter().fold(0, |n, o| n << 8 | u32::from(*o))
                    }
                    _ => panic!("mode {:#x}", i.code),
                };
            }
            // LDX
            1 => {
                assert_eq!(i.code, 1);
                x = i.k;
            }
            2 => memory[i.k as usize] = a,
            // ALU
            4 => match i.code & 0xf0 {
                0x00 => a = a.wrapping_add(operand),
                0x50 => a &= operand,
                0x60 => a <<= operand,
                0x70 => a >>= operand,
                _ => panic!("operation {:#x}", i.code),
            },
            // JMP
            5 => {
                let held = match i.code & 0xf0 {
                    0x00 => {
                        pc += i.k as usize;
                        continue;
                    }
                    0x10 => a == operand,
                    0x30 => a >= operand,
                    0x40 => a & operand != 0,
                    _ => panic!("jump {:#x}", i.code),
                };
                pc += usize::from(if held { i.jt } else { i.jf });
            }
            6 => return i.k,
            7 if i.code == 0x07 => x = a,
            7 if i.code == 0x87 => a = x,
            _ => panic!("instruction {:#x}", i.code),
        }
    }
}
