package ferromq;

import org.apache.rocketmq.client.ClientConfig;

/** Settings that all roles share: `namespace=`, `namespaceV2=` (5.x only), `unit=` with the unit's name. */
final class Settings {
    static void apply(Line arguments, ClientConfig client) {
        if (arguments.has("namespace")) {
            client.setNamespace(arguments.text("namespace"));
        }
        if (arguments.has("namespaceV2")) {
            try {
                ClientConfig.class.getMethod("setNamespaceV2", String.class).invoke(client, arguments.text("namespaceV2"));
            } catch (ReflectiveOperationException old) {
                throw new IllegalArgumentException("this client knows no namespaceV2", old);
            }
        }
        if (arguments.has("unit")) {
            client.setUnitName(arguments.text("unit"));
            client.setUnitMode(true);
        }
    }
}
