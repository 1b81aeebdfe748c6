package org.elasticsearch.node; // NodeConstruction and NodeServiceProvider are private to it

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import org.elasticsearch.cluster.service.ClusterService;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.plugins.ClassPathPlugins;
import org.elasticsearch.plugins.PluginsService;

/** A node from the class path. Arguments: its config folder, its name. */
public class ClassPathNode extends Node {
    ClassPathNode(Environment environment) {
        super(NodeConstruction.prepareConstruction(environment, new Services(), true));
    }

    @Override
    protected void configureNodeAndClusterIdStateListener(ClusterService service) {
        // It sets the log's node and cluster names once for a process, and needs Elasticsearch's own log layout.
    }

    public static void main(String[] arguments) throws Exception {
        LogConfigurator.registerErrorListener();
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
            Settings.EMPTY, Map.of(), Path.of(arguments[0]), () -> arguments[1]);
        LogConfigurator.setNodeName(arguments[1]);
        LogConfigurator.configure(environment, true);
        Node node = new ClassPathNode(environment);
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

    private static class Services extends NodeServiceProvider {
        @Override
        PluginsService newPluginService(Environment environment, Settings settings) {
            return new ClassPathPlugins(settings, environment.configFile());
        }
    }
}
