//! Chance, handed in: the simulation seeds it, and clippy bans every other source.

/// A source of random numbers.
pub trait Entropy: Send + Sync + 'static {
    /// 64 uniform random bits; unguessable in production.
    fn next_u64(&self) -> u64;
}

/// Random bytes from any source of chance.
pub fn fill<const N: usize>(entropy: &(impl Entropy + ?Sized)) -> [u8; N] {
    let mut bytes = [0; N];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&entropy.next_u64().to_le_bytes()[..chunk.len()]);
    }
    bytes
}

/// The generator of the process, seeded by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's chance is drawn"
    )]
    fn next_u64(&self) -> u64 {
        rand::random()
    }
}
