import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.KeyStoreWrapper;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Runs one node in this process, until SIGTERM or until standard input ends.
 *
 * <p>Elasticsearch's own main class refuses root, sandboxes itself with libraries that are not published as artifacts,
 * checks the machine as for production and expects its command line tool as a parent. A test wants none of these, so this
 * does only what is left: read the settings, load the modules, start the node.
 */
public final class Launcher {
    private Launcher() {
    }

    /** Takes the folder of elasticsearch.yml. The password of the superuser comes in ES_PASSWORD. */
    public static void main(String[] arguments) {
        endWithStandardInput();
        try {
            Node node = load(Path.of(arguments[0]));
            Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node), "close"));
            node.start();
            // Its threads are daemons, which keep no process alive.
            new CountDownLatch(1).await();
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }

    /** Whoever wants the node holds the other end of the pipe, and so the node cannot outlive them, however they die. */
    private static void endWithStandardInput() {
        Thread watcher = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    // What it says does not matter.
                }
            } catch (IOException broken) {
                // As good as the end.
            }
            System.err.println("standard input has ended, and so does this node");
            Runtime.getRuntime().halt(0);
        }, "standard-input");
        watcher.setDaemon(true);
        watcher.start();
    }

    private static Node load(Path configuration) throws Exception {
        LogConfigurator.registerErrorListener();
        LogConfigurator.configureESLogging();

        // A keystore in memory: the superuser's password is the only secure setting, and a file would outlive it.
        KeyStoreWrapper secrets = KeyStoreWrapper.create();
        secrets.setString("bootstrap.password", System.getenv("ES_PASSWORD").toCharArray());
        Settings.Builder settings = Settings.builder().put("path.home", System.getProperty("es.path.home"));
        settings.setSecureSettings(secrets);

        Environment environment = InternalSettingsPreparer.prepareEnvironment(
            settings.build(), Map.of(), configuration, () -> "unnamed");
        LogConfigurator.setNodeName(Node.NODE_NAME_SETTING.get(environment.settings()));
        LogConfigurator.configure(environment, true);

        // Plain class paths for the modules: the layers that the distribution builds need parts that are not published.
        PluginsLoader modules = PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(environment.modulesDir()), Set.of(), Map.of(), false);
        return new Node(environment, modules);
    }

    private static void close(Node node) {
        try {
            node.prepareForClose();
            node.close();
            node.awaitClose(10, TimeUnit.SECONDS);
        } catch (Exception failure) {
            failure.printStackTrace();
        }
    }
}
