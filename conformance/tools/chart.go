package tools

// ChartTools lists what judges the Helm chart, beside helm itself.
func ChartTools() []Tool {
	return []Tool{{"kubernetes-validate", "kubernetes-validate", "1.37.0", pythonPackage{}}} // brings Kubernetes' schemas, 1.25 to 1.37
}
