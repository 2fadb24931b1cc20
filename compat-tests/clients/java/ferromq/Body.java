package ferromq;

import java.nio.charset.StandardCharsets;
import java.util.zip.CRC32;

/** Message bodies: short ones are text, long ones follow from key and size so that the test can know them too. */
final class Body {
    /** Longer bodies are reported by size and CRC-32 only. */
    private static final int SHOWN_MAX = 256;

    /** `body=…` as given; else `size=…` bytes made from the key, `fill=noise` (default) or `text`; else the key. */
    static byte[] of(Line line, String key) {
        if (line.has("body")) {
            return line.text("body").getBytes(StandardCharsets.UTF_8);
        }
        byte[] seed = key.getBytes(StandardCharsets.UTF_8);
        if (!line.has("size")) {
            return seed;
        }
        byte[] body = new byte[line.small("size", 0)];
        boolean noise = line.text("fill", "noise").equals("noise");
        int state = (int) crc(seed) | 1;
        for (int i = 0; i < body.length; i++) {
            // xorshift32: nothing a compressor can shorten.
            state ^= state << 13;
            state ^= state >>> 17;
            state ^= state << 5;
            body[i] = noise ? (byte) state : seed[i % seed.length];
        }
        return body;
    }

    static void describe(Event event, byte[] body) {
        event.put("size", body.length).put("crc", crc(body));
        if (body.length <= SHOWN_MAX) {
            event.put("body", new String(body, StandardCharsets.UTF_8));
        }
    }

    private static long crc(byte[] bytes) {
        CRC32 crc = new CRC32();
        crc.update(bytes);
        return crc.getValue();
    }
}
