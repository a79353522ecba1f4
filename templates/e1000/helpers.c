// SPDX-License-Identifier: GPL-2.0

/*
 * What Rust cannot call by itself: functions that C has inline only, and
 * macros. Each does nothing but hand on its arguments.
 */

#include <linux/dma-mapping.h>
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/if_vlan.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/workqueue.h>
#include <net/tcp.h>

void rust_helper_SET_NETDEV_DEV(struct net_device *dev, struct device *parent)
{
	SET_NETDEV_DEV(dev, parent);
}

/* These are bit fields: the kind of statistics, and flags of the device's. */
void rust_helper_netdev_use_tstats(struct net_device *dev)
{
	dev->pcpu_stat_type = NETDEV_PCPU_STAT_TSTATS;
}

void rust_helper_netdev_allow_live_address_change(struct net_device *dev)
{
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
}

void rust_helper_netdev_refuse_shared_packets(struct net_device *dev)
{
	dev->priv_flags &= ~IFF_TX_SKB_SHARING;
}

void rust_helper_eth_hw_addr_set(struct net_device *dev, const u8 *addr)
{
	eth_hw_addr_set(dev, addr);
}

void rust_helper_netif_napi_add(struct net_device *dev,
				struct napi_struct *napi,
				int (*poll)(struct napi_struct *, int))
{
	netif_napi_add(dev, napi, poll);
}

void rust_helper_netif_stop_queue(struct net_device *dev)
{
	netif_stop_queue(dev);
}

void rust_helper_netif_wake_queue(struct net_device *dev)
{
	netif_wake_queue(dev);
}

void rust_helper_netif_tx_disable(struct net_device *dev)
{
	netif_tx_disable(dev);
}

bool rust_helper_netdev_trylock_queue(struct net_device *dev)
{
	return __netif_tx_trylock(netdev_get_tx_queue(dev, 0));
}

void rust_helper_netdev_unlock_queue(struct net_device *dev)
{
	__netif_tx_unlock(netdev_get_tx_queue(dev, 0));
}

void rust_helper_netif_trans_update(struct net_device *dev)
{
	netif_trans_update(dev);
}

bool rust_helper_netif_running(const struct net_device *dev)
{
	return netif_running(dev);
}

bool rust_helper_netif_carrier_ok(const struct net_device *dev)
{
	return netif_carrier_ok(dev);
}

/* These are one call, because there is one for each packet. */
bool rust_helper_netdev_count_sent(struct net_device *dev, unsigned int packets,
				   unsigned int len, unsigned int in_ring)
{
	dev_sw_netstats_tx_add(dev, packets, len);
	return __netdev_sent_queue(dev, in_ring, netdev_xmit_more());
}

void rust_helper_netdev_completed_queue(struct net_device *dev,
					unsigned int packets,
					unsigned int bytes)
{
	netdev_completed_queue(dev, packets, bytes);
}

void rust_helper_netdev_reset_queue(struct net_device *dev)
{
	netdev_reset_queue(dev);
}

void rust_helper_netif_addr_lock_bh(struct net_device *dev)
{
	netif_addr_lock_bh(dev);
}

void rust_helper_netif_addr_unlock_bh(struct net_device *dev)
{
	netif_addr_unlock_bh(dev);
}

/* dev_sw_netstats_rx_add(), for more than one packet. */
void rust_helper_netdev_count_received(struct net_device *dev,
				       unsigned int packets, unsigned int len)
{
	struct pcpu_sw_netstats *tstats = this_cpu_ptr(dev->tstats);

	u64_stats_update_begin(&tstats->syncp);
	u64_stats_add(&tstats->rx_bytes, len);
	u64_stats_add(&tstats->rx_packets, packets);
	u64_stats_update_end(&tstats->syncp);
}

void rust_helper_dev_core_stats_rx_dropped_inc(struct net_device *dev)
{
	dev_core_stats_rx_dropped_inc(dev);
}

void rust_helper_dev_core_stats_tx_dropped_inc(struct net_device *dev)
{
	dev_core_stats_tx_dropped_inc(dev);
}

void rust_helper_INIT_WORK(struct work_struct *work, work_func_t function)
{
	INIT_WORK(work, function);
}

bool rust_helper_schedule_work(struct work_struct *work)
{
	return schedule_work(work);
}

int rust_helper_eth_skb_pad(struct sk_buff *skb)
{
	return eth_skb_pad(skb);
}

void rust_helper_dev_kfree_skb_any(struct sk_buff *skb)
{
	dev_kfree_skb_any(skb);
}

/* Whether mapping has failed has to be asked for; here, the answer is the address. */
static dma_addr_t checked(struct device *dev, dma_addr_t address)
{
	return dma_mapping_error(dev, address) ? DMA_MAPPING_ERROR : address;
}

dma_addr_t rust_helper_skb_frag_dma_map(struct device *dev,
					const skb_frag_t *frag)
{
	return checked(dev, skb_frag_dma_map(dev, frag));
}

dma_addr_t rust_helper_dma_map_single(struct device *dev, void *buffer,
				      size_t size,
				      enum dma_data_direction direction)
{
	return checked(dev, dma_map_single(dev, buffer, size, direction));
}

void rust_helper_skb_tx_timestamp(struct sk_buff *skb)
{
	skb_tx_timestamp(skb);
}

/*
 * These are one call, because there is one for each packet. bindgen names the
 * union of the protocol by a number, and the checksum's state is a bit field.
 */
void rust_helper_napi_receive(struct napi_struct *napi, struct sk_buff *skb,
			      bool checked)
{
	if (checked)
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->protocol = eth_type_trans(skb, napi->dev);
	napi_gro_receive(napi, skb);
}

/* bindgen names this member's union by a number. */
u16 rust_helper_skb_csum_offset(const struct sk_buff *skb)
{
	return skb->csum_offset;
}

void rust_helper_skb_reserve_put(struct sk_buff *skb, unsigned int headroom,
				 unsigned int len)
{
	skb_reserve(skb, headroom);
	__skb_put(skb, len);
}

/* A part of a page, which the packet owns from now on. */
void rust_helper_skb_add_rx_memory(struct sk_buff *skb, void *memory,
				   unsigned int len, unsigned int truesize)
{
	struct page *page = virt_to_head_page(memory);

	skb_add_rx_frag(skb, skb_shinfo(skb)->nr_frags, page,
			memory - page_address(page), len, truesize);
}

/* One call as well, for each packet that is copied from where a device wrote it. */
void rust_helper_skb_put_mapped(struct sk_buff *skb, struct device *dev,
				dma_addr_t address, const void *buffer,
				unsigned int len)
{
	dma_sync_single_for_cpu(dev, address, len, DMA_FROM_DEVICE);
	__skb_put_data(skb, buffer, len);
	dma_sync_single_for_device(dev, address, len, DMA_FROM_DEVICE);
}

/* The checksum's state is a bit field. */
bool rust_helper_skb_checksum_partial(const struct sk_buff *skb)
{
	return skb->ip_summed == CHECKSUM_PARTIAL;
}

int rust_helper_skb_checksum_start_offset(const struct sk_buff *skb)
{
	return skb_checksum_start_offset(skb);
}

int rust_helper_skb_cow_head(struct sk_buff *skb, unsigned int headroom)
{
	return skb_cow_head(skb, headroom);
}

int rust_helper_skb_network_offset(const struct sk_buff *skb)
{
	return skb_network_offset(skb);
}

int rust_helper_skb_transport_offset(const struct sk_buff *skb)
{
	return skb_transport_offset(skb);
}

unsigned int rust_helper_skb_tcp_all_headers(const struct sk_buff *skb)
{
	return skb_tcp_all_headers(skb);
}

struct iphdr *rust_helper_ip_hdr(const struct sk_buff *skb)
{
	return ip_hdr(skb);
}

struct tcphdr *rust_helper_tcp_hdr(const struct sk_buff *skb)
{
	return tcp_hdr(skb);
}

__sum16 rust_helper_tcp_v4_check(int len, __be32 saddr, __be32 daddr,
				 __wsum base)
{
	return tcp_v4_check(len, saddr, daddr, base);
}
