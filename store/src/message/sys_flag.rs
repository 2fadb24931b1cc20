//! Bits of a record's `sysFlag`. Java: `MessageSysFlag`.

/// The body is compressed; bits 8–10 say how.
pub const COMPRESSED: i32 = 0x1;
pub const MULTI_TAGS: i32 = 0x2;
/// The two transaction bits.
pub const TRANSACTION_MASK: i32 = 0xC;
pub const TRANSACTION_PREPARED: i32 = 0x4;
pub const TRANSACTION_COMMIT: i32 = 0x8;
pub const TRANSACTION_ROLLBACK: i32 = 0xC;
pub const BORN_HOST_V6: i32 = 0x10;
pub const STORE_HOST_V6: i32 = 0x20;
/// One record that holds many messages.
pub const NEED_UNWRAP: i32 = 0x40;
pub const INNER_BATCH: i32 = 0x80;
/// Codec of a compressed body: 0 or 3 zlib, 1 LZ4 frames, 2 Zstandard.
pub const COMPRESSION_TYPE_MASK: i32 = 0x700;

/// Whether the record takes a place in its queue: prepared and rolled back ones do not.
pub fn takes_queue_offset(sys_flag: i32) -> bool {
    !matches!(sys_flag & TRANSACTION_MASK, TRANSACTION_PREPARED | TRANSACTION_ROLLBACK)
}
