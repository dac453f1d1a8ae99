# The devices of the test machines of nested translation.

CONFIG_Q35=y
CONFIG_VTD=y
CONFIG_EDU=y
CONFIG_NVME_PCI=y
CONFIG_IGB_PCI_EXPRESS=y
CONFIG_PCIE_PORT=y
CONFIG_XIO3130=y

# NVMe and igb do not link without these.
CONFIG_SPDM_SOCKET=y
CONFIG_E1000E_PCI_EXPRESS=y
