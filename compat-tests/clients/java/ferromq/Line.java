package ferromq;

import java.io.UnsupportedEncodingException;
import java.net.URLDecoder;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;

/** `verb key=value key=value`, values percent-encoded: the form of arguments and of command lines. */
final class Line {
    final String verb;
    private final Map<String, String> values = new LinkedHashMap<>();

    private Line(String[] words) {
        verb = words[0];
        for (String word : Arrays.copyOfRange(words, 1, words.length)) {
            int equals = word.indexOf('=');
            values.put(word.substring(0, equals), decode(word.substring(equals + 1)));
        }
    }

    static Line of(String text) {
        return new Line(text.trim().split(" +"));
    }

    static Line ofArguments(String[] args) {
        return new Line(args);
    }

    boolean has(String key) {
        return values.containsKey(key);
    }

    String text(String key) {
        String value = values.get(key);
        if (value == null) {
            throw new IllegalArgumentException(verb + " needs " + key);
        }
        return value;
    }

    String text(String key, String otherwise) {
        return values.getOrDefault(key, otherwise);
    }

    long number(String key, long otherwise) {
        return has(key) ? Long.parseLong(text(key)) : otherwise;
    }

    int small(String key, int otherwise) {
        return (int) number(key, otherwise);
    }

    /** The values whose key starts with `prefix`, under the rest of their key. */
    Map<String, String> under(String prefix) {
        Map<String, String> found = new LinkedHashMap<>();
        values.forEach((key, value) -> {
            if (key.startsWith(prefix)) {
                found.put(key.substring(prefix.length()), value);
            }
        });
        return found;
    }

    private static String decode(String value) {
        try {
            return URLDecoder.decode(value.replace("+", "%2B"), "UTF-8");
        } catch (UnsupportedEncodingException impossible) {
            throw new IllegalStateException(impossible);
        }
    }
}
