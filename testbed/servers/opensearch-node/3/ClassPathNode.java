package sew.opensearch;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.opensearch.Version;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.PluginInfo;

/** A node from the class path. Arguments: its config folder, its name, the classes of its plugins. */
public class ClassPathNode extends Node {
    ClassPathNode(Environment environment, Collection<PluginInfo> plugins) {
        super(environment, plugins, true);
    }

    @Override
    protected void configureNodeAndClusterIdStateListener(ClusterService service) {
        // It sets the log's node and cluster names once for a process, and needs OpenSearch's own log layout.
    }

    public static void main(String[] arguments) throws Exception {
        LogConfigurator.registerErrorListener();
        Path config = Path.of(arguments[0]);
        Map<String, String> home = Map.of("path.home", config.getParent().toString()); // its own file comes too late
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
            Settings.EMPTY, home, config, () -> arguments[1]);
        LogConfigurator.setNodeName(arguments[1]);
        LogConfigurator.configure(environment);
        Collection<PluginInfo> plugins = new ArrayList<>();
        for (String name : Arrays.asList(arguments).subList(2, arguments.length)) {
            plugins.add(new PluginInfo(
                name, "from the class path", "1", Version.CURRENT, "1", name, null, List.of(), false));
        }
        Node node = new ClassPathNode(environment, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> closed(node)));
        node.start();
        Thread.currentThread().join(); // the node's own threads do not keep the process alive
    }

    private static void closed(Node node) {
        try {
            node.close();
        } catch (IOException error) {
            error.printStackTrace();
        }
    }
}
